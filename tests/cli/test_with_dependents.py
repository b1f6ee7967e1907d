"""`gradlint check --with-dependents`."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PAGE = Path(__file__).parents[2] / "docs" / "pre-commit.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The two files of the page, and a file that has to do with neither."""
    (tmp_path / ".git").mkdir()
    for source in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        name = source.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(source)
    (tmp_path / "other.py").write_text("x = 1\n")
    return tmp_path


def test_the_example_of_the_docs(project: Path, run: Run) -> None:
    shown = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    command = shown.partition("\n")[0]
    done = run(*command.split()[2:], cwd=project)
    assert done.returncode == 1
    assert f"{command}\n{done.stdout}" == shown


def test_excluded_files_are_not_checked_though_they_are_named(project: Path, run: Run) -> None:
    options = ("--with-dependents", "--output-format", "json", "--exclude")
    done = run("check", "blocks.py", *options, "blocks.py", cwd=project)
    assert {model["path"] for model in json.loads(done.stdout)["models"]} == {"net.py"}
    done = run("check", "net.py", "blocks.py", *options, "*.py", cwd=project)
    assert (done.returncode, json.loads(done.stdout)["summary"]["files"]) == (0, 0)


def test_from_another_folder(project: Path, run: Run) -> None:
    inner = project / "inner"
    inner.mkdir()
    done = run("check", "../blocks.py", "--with-dependents", "--output-format", "concise", cwd=inner)
    assert done.returncode == 1
    assert f"{project / 'net.py'}:13:26: error[GL101]" in done.stdout


def test_a_file_that_is_not_there_is_an_error(project: Path, run: Run) -> None:
    done = run("check", "block.py", "--with-dependents", cwd=project)
    assert done.returncode == 2
    assert 'did you mean "blocks.py"?' in done.stdout + done.stderr


@pytest.mark.parametrize("path", ["net.py:Net", "-"])
def test_files_only(project: Path, run: Run, path: str) -> None:
    done = run("check", path, "--with-dependents", cwd=project)
    assert done.returncode == 2
    assert f'--with-dependents takes files, not "{path}"' in done.stderr
