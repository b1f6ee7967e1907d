"""`gradlint check`, again and again: the same output for next to nothing, until something changes."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gradlint.cache.store import NAME

NET = """import os
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        depth = int(os.environ.get("GR_TEST_DEPTH", "20"))
        self.body = nn.Sequential(*[layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.Sigmoid())])

    def forward(self, x):
        return self.body(x)
"""
HEALTHY = NET.replace('"20"', '"1"')
MAIN = "import sys; from gradlint.cli import main; code = main(sys.argv[1:]); {}; sys.exit(code)"
Gradlint = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    return folder


@pytest.fixture
def gradlint(project: Path) -> Gradlint:
    """Runs the command in the project."""

    def run(*arguments: str, then: str = "pass", **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-P", "-c", MAIN.format(then), *arguments]
        given = {**os.environ, **environment}
        return subprocess.run(command, cwd=project, env=given, capture_output=True, text=True, timeout=300)

    return run


def is_replayed(gradlint: Gradlint, *arguments: str, **environment: str) -> bool:
    """Whether a run prints what an earlier one has printed, and nothing else."""
    return "click" not in modules(gradlint, *arguments, **environment)


def modules(gradlint: Gradlint, *arguments: str, **environment: str) -> set[str]:
    done = gradlint(*arguments, then="print(*sys.modules, file=sys.stderr)", **environment)
    return set(done.stderr.split())


LOADED = {
    "gradlint",
    "gradlint.cache",
    "gradlint.cache.environment",
    "gradlint.cache.observations",
    "gradlint.cache.store",
    "gradlint.cli",
    "gradlint.cli.replay",
    "gradlint.cli.streams",
    "gradlint.core",
    "gradlint.core.file_names",
    "gradlint.worker",
    "gradlint.worker.environment",
}


def test_an_unchanged_run_loads_next_to_nothing(gradlint: Gradlint, project: Path) -> None:
    first = gradlint("check", "net.py")
    assert first.returncode == 1 and "saturating-stack" in first.stdout
    second = gradlint("check", "net.py", then="print(*sys.modules, file=sys.stderr)")
    assert (second.returncode, second.stdout) == (first.returncode, first.stdout)
    loaded = set(second.stderr.split())
    assert {name for name in loaded if name.partition(".")[0].startswith("gradlint")} == LOADED
    heavy = {"torch", "click", "msgspec", "rich", "numpy", "pathlib", "dataclasses", "importlib.metadata", "subprocess"}
    assert not loaded & heavy


def cpu(command: list[str], folder: Path) -> float:
    """Seconds of the quickest of several runs."""
    taken = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def test_an_unchanged_file_costs_little_more_than_importing_click(gradlint: Gradlint, project: Path) -> None:
    gradlint("check", "net.py")
    unchanged = cpu([sys.executable, "-P", "-c", MAIN.format("pass"), "check", "net.py"], project)
    assert unchanged <= 3 * cpu([sys.executable, "-c", "import click"], project)


@pytest.mark.parametrize("name", ["full", "concise", "json", "json-lines", "sarif", "gitlab", "markdown"])
def test_every_format_is_the_same_to_the_byte(name: str, gradlint: Gradlint, project: Path) -> None:
    (project / "broken.py").write_text("from torch import nn\nclass A(nn.Module:\n")
    (project / "other.py").write_text(HEALTHY)
    arguments = ("check", ".", "--output-format", name)
    plain = gradlint(*arguments, "--no-cache")
    cold, warm = gradlint(*arguments), gradlint(*arguments)
    piecewise = gradlint(*arguments, "--jobs", "1")
    assert plain.stdout
    for done in (cold, warm, piecewise):
        assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_no_cache_neither_asks_nor_keeps(gradlint: Gradlint, project: Path) -> None:
    gradlint("check", "-n", "net.py")
    assert not (project / ".gradlint_cache").exists()
    gradlint("check", "net.py")
    assert not is_replayed(gradlint, "check", "-n", "net.py")


@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_the_folder_can_be_elsewhere(way: str, gradlint: Gradlint, project: Path, tmp_path: Path) -> None:
    options = ["--cache-dir", str(tmp_path / "kept")] if way == "option" else []
    environment = {"GRADLINT_CACHE_DIR": str(tmp_path / "kept")} if way == "variable" else {}
    if way == "file":
        (project / "gradlint.toml").write_text('cache-dir = "../kept"\n')
    gradlint("check", "net.py", *options, **environment)
    assert (tmp_path / "kept" / NAME).exists() and not (project / ".gradlint_cache").exists()
    assert is_replayed(gradlint, "check", "net.py", *options, **environment)


def test_all_that_a_run_as_a_whole_reads_counts(gradlint: Gradlint, project: Path) -> None:
    """One change after the other, each of which has the run made again, and none of which is missed by the next."""
    arguments = ("check", ".", "--output-format", "json")
    gradlint(*arguments)

    def settles() -> bool:
        return is_replayed(gradlint, *arguments)

    assert settles()
    changes: list[Callable[[], object]] = [
        lambda: (project / "new.py").write_text(HEALTHY),
        lambda: (project / "sub").mkdir(),
        lambda: (project / "sub" / "deep.py").write_text("import os\n"),
        lambda: (project / ".gitignore").write_text("sub/\n"),
        lambda: (project / "gradlint.toml").write_text('fail-on = "error"\n'),
        lambda: (project / "gradlint.toml").write_text('extend-exclude = ["new.py"]\n'),
        lambda: (project / ".gradlint.toml").write_text(""),
        lambda: (project / "net.py").write_text(
            NET.replace("self.body = ", "self.body = (  # gradlint: ignore[GL101] x\n            ").replace(
                "Sigmoid())])", "Sigmoid())]))"
            )
        ),
        lambda: (project / "net.py").unlink(),
    ]
    for change in changes:
        change()
        assert not settles()
        assert settles()
    (project / "notes.txt").write_text("of no concern")
    (project / "new.py").touch()
    assert settles()
    assert not is_replayed(gradlint, *arguments, NO_COLOR="1", FORCE_COLOR="")
    assert not is_replayed(gradlint, *arguments, GRADLINT_BATCH="3")
    gradlint(*arguments)
    assert is_replayed(gradlint, *arguments, GR_TEST_UNRELATED="3")


def test_a_variable_that_the_model_reads_counts(gradlint: Gradlint) -> None:
    deep, again = gradlint("check", "net.py"), gradlint("check", "net.py", GR_TEST_DEPTH="1")
    assert (deep.returncode, again.returncode) == (1, 0)
    assert gradlint("check", "net.py").stdout == deep.stdout


def test_a_baseline_that_changes_counts(gradlint: Gradlint, project: Path) -> None:
    arguments = ("check", "net.py", "--baseline", "known.json")
    assert gradlint("baseline", "write", "net.py", "--baseline", "known.json").returncode == 0
    assert [gradlint(*arguments).returncode for _ in range(2)] == [0, 0]
    known = json.loads((project / "known.json").read_text())
    known["findings"] = []
    (project / "known.json").write_text(json.dumps(known))
    assert gradlint(*arguments).returncode == 1


def test_a_rule_pack_that_changes_counts(gradlint: Gradlint, project: Path, tmp_path: Path) -> None:
    pack = """
from gradlint.api import API_VERSION, Finding, Rule, Severity, Site

class Always(Rule):
    \"\"\"Fires.\"\"\"

    code, name, summary, level = "TST1", "always", "Fires", "stable"

    def check(self, ctx):
        module = next(module for module in ctx.modules.values() if module.sites)
        yield Finding(self.code, self.name, Severity.INFO, "it says {}", (Site(module.sites[0], ""),))

RULES = (Always,)
"""
    place = tmp_path / "packs"
    info = place / "some_pack-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gradlint.rules]\nsome = some_pack\n")
    (place / "some_pack.py").write_text(pack.format("one"))
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(place))))
    assert "it says one" in gradlint("check", "net.py", PYTHONPATH=path).stdout
    assert is_replayed(gradlint, "check", "net.py", PYTHONPATH=path)
    (place / "some_pack.py").write_text(pack.format("two"))
    assert "it says two" in gradlint("check", "net.py", PYTHONPATH=path).stdout
    assert "it says" not in gradlint("check", "net.py").stdout
    (info / "entry_points.txt").write_text("[other]\nsome = some_pack\n")
    assert "it says" not in gradlint("check", "net.py", PYTHONPATH=path).stdout


def test_what_is_not_kept_is_told(gradlint: Gradlint, project: Path) -> None:
    text = HEALTHY.replace("        super", "        os.system('true')\n        super")
    (project / "net.py").write_text(text)
    for _ in range(2):
        done = gradlint("check", "-v", "net.py")
        assert done.stderr == "not cached: net.py: it starts a process\n" and done.returncode == 0
    assert gradlint("check", "net.py").stderr == ""


def test_a_folder_that_takes_nothing_is_told_and_changes_nothing(gradlint: Gradlint) -> None:
    plain = gradlint("check", "-n", "net.py")
    done = gradlint("check", "net.py", "--cache-dir", "/proc/gradlint")
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, "")
    assert (
        "nothing is cached in /proc/gradlint: "
        in gradlint("check", "-v", "net.py", "--cache-dir", "/proc/gradlint").stderr
    )


def test_a_broken_cache_is_made_anew(gradlint: Gradlint, project: Path) -> None:
    first = gradlint("check", "net.py")
    for damage in (b"", b"nonsense" * 99):
        (project / ".gradlint_cache" / NAME).write_bytes(damage)
        done = gradlint("check", "net.py")
        assert (done.returncode, done.stdout, done.stderr) == (first.returncode, first.stdout, "")
    assert is_replayed(gradlint, "check", "net.py")


def test_a_forged_row_is_not_printed(gradlint: Gradlint, project: Path) -> None:
    first = gradlint("check", "net.py")
    with closing(sqlite3.connect(project / ".gradlint_cache" / NAME)) as connection, connection:
        connection.execute("UPDATE rows SET body = ? WHERE key LIKE 'run %'", (b'{"text": "All clear", "code": 0}',))
    assert gradlint("check", "net.py").stdout == first.stdout


def test_a_killed_run_leaves_a_cache_that_serves(gradlint: Gradlint, project: Path) -> None:
    for number in range(6):
        (project / f"net{number}.py").write_text(HEALTHY)
    command = [sys.executable, "-P", "-c", MAIN.format("pass"), "check", "."]
    for _ in range(2):
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, start_new_session=True)
        deadline = time.monotonic() + 60
        while not (project / ".gradlint_cache" / NAME).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    plain = gradlint("check", ".", "-n")
    assert [gradlint("check", ".").stdout for _ in range(2)] == [plain.stdout] * 2


def test_runs_at_the_same_time_say_the_same(gradlint: Gradlint, project: Path) -> None:
    for number in range(3):
        (project / f"net{number}.py").write_text(HEALTHY)
    command = [sys.executable, "-P", "-c", MAIN.format("pass"), "check", "."]
    running = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    texts = {process.communicate(timeout=300)[0] for process in running}
    assert texts == {gradlint("check", ".").stdout}
    assert is_replayed(gradlint, "check", ".")


def test_reports_to_files_are_written_each_time(gradlint: Gradlint, project: Path) -> None:
    for _ in range(2):
        gradlint("check", "net.py", "--report", "sarif=out.sarif", "-o", "out.txt")
        assert (project / "out.sarif").stat().st_size and (project / "out.txt").stat().st_size
        (project / "out.sarif").unlink()
        (project / "out.txt").unlink()


def test_standard_input_is_looked_at_each_time(project: Path) -> None:
    command = [sys.executable, "-P", "-c", MAIN.format("pass"), "check", "-"]
    for text, code in ((NET, 1), (HEALTHY, 0), (NET, 1)):
        done = subprocess.run(command, cwd=project, input=text, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stderr


def test_a_probe_is_kept_on_its_own(gradlint: Gradlint) -> None:
    assert "measured" not in gradlint("check", "net.py").stdout
    probed = gradlint("check", "net.py", "--probe")
    assert "measured" in probed.stdout
    assert gradlint("check", "net.py", "--probe").stdout == probed.stdout
    assert is_replayed(gradlint, "check", "net.py", "--probe")


def test_errors_are_not_kept(gradlint: Gradlint, project: Path) -> None:
    for _ in range(2):
        assert gradlint("check", "absent.py").returncode == 2
    (project / "absent.py").write_text(HEALTHY)
    assert gradlint("check", "absent.py").returncode == 0
