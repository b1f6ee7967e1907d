"""What the gate costs those who commit forty times a day: every figure of speed that is promised, with its bound.

    python benchmarks/gate.py [--only cold jobs] [--repeats 5] [--files 500] [--plain 2000] [--shared 100]

| figure | what is compared | bound |
|---|---|---|
| `unchanged` | the second `gradlint check` of one file, against `python -c "import click"` | 3 times |
| `many` | the second check of 500 files, less that of one | 0.5 s |
| `plain` | the first check of 2,000 files without a model, against `ast.parse` of all of them | 2 times |
| `workers` | memory of that check: torch is imported nowhere | 150 MB |
| `jobs` | wall time of `-j 1` on 100 files, against `-j 2` | at least 1.7 |
| `cold` | the first check of one file, against a script that runs the model once (`speed.py`) | 1.25 times |

CPU time, user and system, of all processes, but for `jobs`, which means something on an idle machine only: the load is
printed. All runs are cold but for the file system's cache: `.gradlint_cache` is deleted where a first check is meant.
Medians of repeats in turn. Exit status 1 where a bound is broken.
"""

import argparse
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import Usage, gradlint_command, run, save, table
from speed import SMALL, write_both
from speed import both as cold_and_plain

PARSE = """
import ast, sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
for path in sorted(Path(sys.argv[1]).rglob("*.py")):
    ast.parse(path.read_bytes())
"""
HEADER = ("figure", "measured", "against", "result", "bound", "")
LARGEST_PLAIN = 60_000
"""Bytes of a file of the standard library that is taken for one without a model."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, in words, and whether it keeps its bound."""

    name: str
    measured: str
    against: str
    value: float
    bound: float
    unit: str
    is_kept: bool

    @property
    def row(self) -> tuple[str, ...]:
        """A row of the table."""
        sign = "≥" if self.name == "jobs" else "≤"
        verdict = "kept" if self.is_kept else "BROKEN"
        result = f"{self.value:.2f} {self.unit}".strip()
        return (self.name, self.measured, self.against, result, f"{sign} {self.bound:g} {self.unit}".strip(), verdict)


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MEASURED), default=list(MEASURED), help="these figures only")
    parser.add_argument("--repeats", type=int, default=5, help="how often each pair is run (default 5)")
    parser.add_argument("--files", type=int, default=500, help="files of an unchanged repository (default 500)")
    parser.add_argument("--plain", type=int, default=2000, help="files without a model (default 2000)")
    parser.add_argument("--shared", type=int, default=100, help="files that workers share (default 100)")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    figures = []
    for name in given.only:
        with tempfile.TemporaryDirectory(prefix="gradlint-gate-") as folder:
            figures += MEASURED[name](Path(folder), given)
    print(table(HEADER, [figure.row for figure in figures]))
    broken = [figure.name for figure in figures if not figure.is_kept]
    verdict = f"BROKEN: {', '.join(broken)}" if broken else "all bounds are kept"
    print(f"\nload {os.getloadavg()[0]:.1f}; {verdict}")
    save("gate", {figure.name: {"value": figure.value, "bound": figure.bound} for figure in figures})
    return 1 if broken else 0


def unchanged(folder: Path, given: argparse.Namespace) -> list[Figure]:
    """One file that nobody has touched since it was checked."""
    models(folder, 1)
    check(folder)
    pairs = [(check(folder).cpu, importing_click().cpu) for _ in range(given.repeats)]
    return [ratio("unchanged", pairs, bound=3.0)]


def many(folder: Path, given: argparse.Namespace) -> list[Figure]:
    """As many files as a platform team has, none of them touched."""
    one, all_ = folder / "one", folder / "all"
    models(one, 1)
    models(all_, given.files)
    check(one)
    check(all_, limit=7200.0)
    pairs = [(check(all_, limit=7200.0).cpu, check(one).cpu) for _ in range(given.repeats)]
    left, right = (statistics.median(side) for side in zip(*pairs, strict=True))
    more = left - right
    return [Figure("many", f"{left:.2f} s", f"{right:.2f} s", more, 0.5, "s", more <= 0.5)]


def plain(folder: Path, given: argparse.Namespace) -> list[Figure]:
    """Files that cannot hold a model: parsed, and no worker for them."""
    code = folder / "code"
    without_models(code, given.plain)
    (folder / "parse.py").write_text(PARSE, encoding="utf-8")
    parsing = [sys.executable, str(folder / "parse.py"), str(code)]
    run(parsing)  # the file system's cache
    pairs, peaks = [], []
    for _ in range(given.repeats):
        forget(code)
        checked = check(code, watch=True)
        peaks.append(checked.peak / 1e6)
        pairs.append((checked.cpu, run(parsing).cpu))
    peak = statistics.median(peaks)
    workers = Figure("workers", f"{peak:.0f} MB", "a worker: 300 MB", peak, 150.0, "MB", peak <= 150.0)
    return [ratio("plain", pairs, bound=2.0), workers]


def jobs(folder: Path, given: argparse.Namespace) -> list[Figure]:
    """Two workers against one, by the clock."""
    models(folder, given.shared)
    pairs = []
    for _ in range(given.repeats):
        timed = []
        for count in ("1", "2"):
            forget(folder)
            timed.append(check(folder, "-j", count, limit=7200.0))
        if timed[0].stdout != timed[1].stdout:
            raise SystemExit("the report depends on the number of workers")
        pairs.append((timed[0].wall, timed[1].wall))
    return [ratio("jobs", pairs, bound=1.7, at_least=True)]


def cold(folder: Path, given: argparse.Namespace) -> list[Figure]:
    """A first check of one file, against running its model."""
    write_both(folder)
    cold_and_plain(folder)
    pairs = []
    for _ in range(given.repeats):
        forget(folder)
        script, checked = cold_and_plain(folder)
        pairs.append((checked.cpu, script.cpu))
    return [ratio("cold", pairs, bound=1.25)]


MEASURED: dict[str, Callable[[Path, argparse.Namespace], list[Figure]]] = {
    "unchanged": unchanged,
    "many": many,
    "plain": plain,
    "jobs": jobs,
    "cold": cold,
}


def ratio(name: str, pairs: list[tuple[float, float]], *, bound: float, at_least: bool = False) -> Figure:
    """The median ratio of pairs that were measured in turn, seconds each."""
    value = statistics.median(left / right for left, right in pairs)
    left, right = (statistics.median(side) for side in zip(*pairs, strict=True))
    is_kept = value >= bound if at_least else value <= bound
    return Figure(name, f"{left:.2f} s", f"{right:.2f} s", value, bound, "×", is_kept)


def models(folder: Path, count: int) -> None:
    """A repository of files with a model each, no two alike."""
    (folder / ".git").mkdir(parents=True)
    for number in range(count):
        text = SMALL.lstrip().replace("Small", f"Small{number}").replace("128", str(32 + number))
        (folder / f"model_{number}.py").write_text(text, encoding="utf-8")


def without_models(folder: Path, count: int) -> None:
    """A repository of files of the standard library, some of them twice; every other one imports torch."""
    library = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"site-packages", "test", "tests", "lib2to3", "idlelib"}
    found = [path for path in sorted(library.rglob("*.py")) if not left_out & set(path.parts)]
    texts = [path.read_bytes() for path in found if path.stat().st_size <= LARGEST_PLAIN]
    (folder / ".git").mkdir(parents=True)
    for number in range(count):
        place = folder / f"package_{number // 100}" / f"file_{number}.py"
        place.parent.mkdir(exist_ok=True)
        text = texts[number % len(texts)]
        is_future = b"from __future__" in text  # must come first
        place.write_bytes(text if number % 2 or is_future else b"import torch\n" + text)


def check(folder: Path, *options: str, watch: bool = False, limit: float = 900.0) -> Usage:
    """`gradlint check`, as a user calls it."""
    done = run(gradlint_command("check", ".", *options), cwd=folder, watch=watch, limit=limit)
    if done.status not in (0, 1):
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return done


def importing_click() -> Usage:
    """What any command of Python's costs that reads its arguments."""
    return run([sys.executable, "-c", "import click"])


def forget(folder: Path) -> None:
    """Let the next check be the first."""
    shutil.rmtree(folder / ".gradlint_cache", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
