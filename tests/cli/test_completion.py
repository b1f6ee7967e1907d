"""TAB in a shell, as docs/editors-and-shells.md describes it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Offer = Callable[..., list[str]]
COMMAND = Path(sys.executable).with_name("gradlint")
PAGE = Path(__file__).parents[2] / "docs" / "editors-and-shells.md"
DRIVE = """
compopt() {{ :; }}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_gradlint_completion gradlint
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(COMMAND.parent), os.environ["PATH"]]), **more}


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    """What zsh and fish are told, line by line."""

    def asked(line: str, shell: str = "zsh") -> list[str]:
        words = line.split(" ")
        count = words[-1] if shell == "fish" else str(len(words) - 1)
        done = subprocess.run(
            [str(COMMAND)],
            cwd=tmp_path,
            env=environment(_GRADLINT_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=count),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return asked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gradlint ini", "init"),
        ("gradlint baseline wr", "write"),
        ("gradlint check --with-d", "--with-dependents"),
        ("gradlint check --output-format sar", "sarif"),
        ("gradlint rule saturating-s", "saturating-stack"),
        ("gradlint check --select GL101,GL10", "GL101,GL102"),
        ("gradlint check --ignore saturating-s", "saturating-stack"),
    ],
)
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_is_offered(offer: Offer, line: str, expected: str, shell: str) -> None:
    said = offer(line, shell)
    plain = [re.split(r"[\t,]", text, maxsplit=1)[1].split("\t")[0] if shell == "fish" else text for text in said]
    assert expected in plain


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("gradlint check mod", "file"),
        ("gradlint flow mod", "file"),
        ("gradlint baseline prune mod", "file"),
        ("gradlint check --baseline b", "file"),
        ("gradlint check -o b", "file"),
        ("gradlint init f", "dir"),
    ],
)
def test_paths_are_left_to_the_shell(offer: Offer, line: str, kind: str) -> None:
    assert offer(line)[0] == kind


def lines_of_the_page() -> dict[str, str]:
    rows = re.findall(r"^\| (bash|zsh|fish).*\| `(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {shell: line.replace("\\|", "|") for shell, line in rows}


@pytest.mark.parametrize(
    ("words", "expected"),
    [("gradlint ini", "init"), ("gradlint check --out", "--output-format"), ("gradlint rule GL10", "GL101")],
)
def test_the_line_of_the_page_works_in_bash(tmp_path: Path, words: str, expected: str) -> None:
    script = lines_of_the_page()["bash"] + DRIVE.format(words=words)
    bash = ["bash", "--norc", "-c", script]
    done = subprocess.run(
        bash, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_other_shells(tmp_path: Path, shell: str) -> None:
    line = lines_of_the_page()[shell]
    assert f"_GRADLINT_COMPLETE={shell}_source gradlint" in line
    asked = environment(_GRADLINT_COMPLETE=f"{shell}_source")
    done = subprocess.run(
        [str(COMMAND)], cwd=tmp_path, env=asked, capture_output=True, text=True, timeout=60, check=True
    )
    assert f"_GRADLINT_COMPLETE={shell}_complete" in done.stdout
    if program := shutil.which(shell):
        parsed = subprocess.run(
            [program, "-n"], input=done.stdout, text=True, capture_output=True, timeout=60, check=False
        )
        assert parsed.returncode == 0, parsed.stderr


def test_no_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')\n")
    asked = environment(_GRADLINT_COMPLETE="zsh_complete", COMP_WORDS="gradlint ", COMP_CWORD="1")
    asked["PYTHONPATH"] = os.pathsep.join([str(tmp_path), asked.get("PYTHONPATH", "")])
    done = subprocess.run(
        [str(COMMAND)], cwd=tmp_path, env=asked, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "check" in done.stdout) == (0, True), done.stderr
