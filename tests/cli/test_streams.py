"""Standard streams that are closed or full: no traceback, never exit 1 or 0 for what nobody could read."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("gradlint")
Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(model: Path) -> Shell:
    def call(line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", line.replace("gradlint", str(COMMAND), 1)],
            cwd=model.parent,
            env={name: value for name, value in os.environ.items() if not name.startswith("GRADLINT_")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["check model.py", "rule GL101", "--help", "--version", "config"])
def test_a_full_disk_is_told_and_exits_2(arguments: str, shell: Shell) -> None:
    done = shell(f"gradlint {arguments} >/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write to standard output: No space left on device\n")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_messages_that_nobody_takes_leave_the_exit_code(shell: Shell) -> None:
    for closed in ("2>&-", "2>/dev/full"):
        assert shell(f"gradlint check --select '' {closed}").returncode == 2
        assert shell(f"gradlint chekc {closed}").returncode == 2


def test_closed_streams_keep_no_file_from_being_checked(shell: Shell, model: Path) -> None:
    out = model.parent / "out.txt"
    done = shell("gradlint check model.py --output-format concise -o out.txt <&- >&- 2>&-")
    assert done.returncode == 0
    assert out.read_text() == "All clear: 1 model checked.\n"
    done = shell("gradlint check model.py <&- 2>&-")
    assert (done.returncode, done.stdout) == (0, "All clear: 1 model checked.\n")


def test_a_closed_output_or_input_is_told_and_exits_2(shell: Shell) -> None:
    done = shell("gradlint check model.py >&-")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: cannot write to standard output: Bad file descriptor",
    )
    done = shell("gradlint check - <&-")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: cannot read standard input: Bad file descriptor",
    )


def test_python_callers_with_closed_streams(model: Path) -> None:
    out = model.parent / "out.txt"
    script = f"import gradlint; open({str(out)!r}, 'w').write(str(len(gradlint.check({str(model)!r}).models)))"
    line = f'exec {sys.executable} -c "$SCRIPT" <&- >&-'
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "SCRIPT": script},
        cwd=model.parent,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, out.read_text()) == (0, "1"), done.stderr
