"""What the benchmarks share: tables, statistics, CPU time and memory of processes, the import of torchvision."""

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
"""Raw figures; git-ignored, as they belong to one machine and one day."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command and everything that it started took."""

    cpu: float
    """Seconds, user and system."""
    wall: float
    peak: int
    """Largest resident set of the whole family of processes at one time, in bytes; 0 where it was not watched."""
    status: int
    stdout: str
    stderr: str


def offline() -> dict[str, str]:
    """An environment for commands: this checkout's gradlint, one thread, no downloads; byte code is kept, as it is of
    packages that pip has installed.
    """
    paths = [str(ROOT), str(ROOT / "rules"), os.environ.get("PYTHONPATH", "")]
    settled = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {name: value for name, value in (os.environ | settled).items() if name != "PYTHONDONTWRITEBYTECODE"}


def gradlint_command(*arguments: str) -> list[str]:
    """The command line that runs this checkout's `gradlint`."""
    return [sys.executable, "-c", "import sys; from gradlint.cli import main; sys.exit(main())", *arguments]


def run(command: Sequence[str], *, cwd: Path | None = None, watch: bool = False, limit: float = 900.0) -> Usage:
    """Run a command to its end and account for it and its descendants.

    Args:
        command: the command line.
        cwd: folder to run in.
        watch: sample the memory of the whole family every 20 ms (costs CPU time of *this* process only).
        limit: seconds after which it is killed; raises `subprocess.TimeoutExpired`.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    peak = 0
    with subprocess.Popen(
        command, cwd=cwd, env=offline(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while True:
            try:
                out, err = process.communicate(timeout=0.02 if watch else limit)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() - began > limit:
                    process.kill()
                    raise
                peak = max(peak, resident(process.pid))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(cpu, time.monotonic() - began, peak, process.returncode, out, err)


def resident(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold now (Linux; 0 elsewhere)."""
    total = 0
    for member in _family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "")
        total += int(line.split()[1]) * 1024 if line else 0
    return total


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid, *(member for child in text.split() for member in _family(int(child)))]


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank); NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with aligned columns: reads well in a terminal, and as it stands in a document."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    drawn = [f"| {' | '.join(line)} |" for line in padded]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(drawn)


def save(name: str, data: Mapping[str, Any]) -> Path:
    """Write raw figures to `results/`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def write_between(document: Path, marks: tuple[str, str], text: str) -> None:
    """Put tables into a document, between its two marks."""
    before, _, rest = document.read_text(encoding="utf-8").partition(marks[0])
    after = rest.partition(marks[1])[2]
    document.write_text(f"{before}{marks[0]}\n\n{text}\n{marks[1]}{after}", encoding="utf-8")


def is_wanted(name: str, words: Sequence[str]) -> bool:
    """Whether a name holds one of the words asked for (none: all are)."""
    return not words or any(word.lower() in name.lower() for word in words)


def import_torchvision() -> Any:
    """`torchvision`, also where its compiled operators do not load: their signatures are all that its import needs."""
    import torch

    try:
        import torchvision  # type: ignore[import-untyped]
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(library)
        import torchvision
    return torchvision


_libraries: list[Any] = []
"""A library that is collected takes its operators with it."""
