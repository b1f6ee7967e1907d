"""`--report FORMAT=PATH`: several files beside the text, each whole or not at all."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gradlint.cli import files
from gradlint.cli.formats import FORMATS
from gradlint.core.errors import UsageError

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file that needs no torch to be found wanting."""
    path = tmp_path / "broken.py"
    path.write_text("import torch\ndef (\n")
    return path


def test_several_reports_beside_the_text(run: Run, model: Path) -> None:
    arguments = ["--report", "sarif=out/deep/x.sarif", "--report", "junit=junit.xml", "--report", "full=a=b.txt"]
    done = run("check", "model.py", "--select", "TST101", *arguments, cwd=model.parent, FORCE_COLOR="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b[" in done.stdout
    assert (model.parent / "a=b.txt").read_text().startswith("error[TST101]: sure-thing  Net: layer is wide\n")
    (result,) = json.loads((model.parent / "out" / "deep" / "x.sarif").read_text())["runs"][0]["results"]
    assert (result["ruleId"], result["properties"]["predicted"]["width"]) == ("TST101", 8)
    root = ElementTree.parse(model.parent / "junit.xml").getroot()
    assert [failure.attrib["type"] for failure in root.iter("failure")] == ["TST101 sure-thing"]
    written = {path.name for path in model.parent.iterdir()} - {".gradlint_cache"}
    assert written == {"a=b.txt", "junit.xml", "model.py", "out"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--report", "sarfi=x"],
            'error: --report "sarfi=x": there is no format "sarfi"\n  = help: did you mean "sarif"?',
        ),
        (["--report", "x.sarif"], 'there is no format "x.sarif"'),
        (["--report", "sarif"], '--report "sarif" names no file'),
        (["--report", "sarif="], "--report sarif=gradlint.sarif"),
        (["--report", "json=-"], "names no file"),
        (["--report", "json=x", "--report", "sarif=./x"], "two reports would go to ./x"),
        (["--report", "json=x", "-o", "x"], "two reports would go to x"),
        (["--report", "json=folder"], "cannot write folder: it is a folder"),
        (["--report", "json=broken.py/x"], "cannot write broken.py/x: File exists"),
        (["-o", "broken.py/x/y"], "cannot write broken.py/x/y: Not a directory"),
        (["--report", "json=" + "x" * 300], "File name too long"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_run(
    arguments: list[str], message: str, run: Run, broken: Path
) -> None:
    (broken.parent / "folder").mkdir()
    done = run("check", "broken.py", *arguments, cwd=broken.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in broken.parent.iterdir()) == ["broken.py", "folder"]


def test_every_format_can_be_printed_and_written(run: Run, broken: Path) -> None:
    for name in FORMATS:
        done = run("check", "broken.py", "--output-format", name, "--report", f"{name}=x", cwd=broken.parent)
        assert (done.returncode, done.stderr) == (2, "")
        assert "broken.py" in done.stdout
        assert (broken.parent / "x").read_text() == done.stdout


def test_a_run_that_fails_as_a_whole_leaves_no_report_of_an_earlier_one(run: Run, broken: Path) -> None:
    path = broken.parent / "x.sarif"
    path.write_text("of yesterday")
    arguments = ["--select", "GL1O1", "--report", f"sarif={path}", "--output-format", "gitlab"]
    done = run("check", "broken.py", *arguments, cwd=broken.parent)
    assert done.returncode == 2
    assert 'error: no rule matches "GL1O1"' in done.stderr
    (invocation,) = json.loads(path.read_text())["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (issue,) = json.loads(done.stdout)
    assert (issue["severity"], issue["description"][:32]) == ("blocker", 'not analysed: no rule matches "G')


def test_a_step_of_github_gets_text_annotations_and_a_summary(run: Run, broken: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    environment = {"GITHUB_STEP_SUMMARY": str(summary)}
    run("check", "broken.py", cwd=broken.parent, **environment)
    assert summary.read_text() == "before\n"
    done = run("check", "broken.py", "--output-format", "github", cwd=broken.parent, **environment)
    assert done.stdout.startswith("::warning title=GL001 unanalysable-model,file=broken.py,line=2,")
    assert "\nFound 1 warning in 0 models (1 file).\n" in done.stdout
    assert summary.read_text().startswith("before\n### gradlint\n\nFound 1 warning")
    done = run("check", "broken.py", "--output-format", "github", cwd=broken.parent, GITHUB_STEP_SUMMARY="/dev/full")
    assert done.returncode == 2
    assert "error: cannot write /dev/full: No space left on device" in done.stderr


def test_a_file_name_that_steers_a_terminal(run: Run, tmp_path: Path) -> None:
    shown = {"markdown": "a�&#91;31m.py", "sarif": "a%1B%5B31m.py"}
    (tmp_path / "a\x1b[31m.py").write_text("import torch\ndef (\n")
    for output_format in FORMATS:
        done = run("check", ".", "--output-format", output_format, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, "")
        assert "\x1b" not in done.stdout
        assert shown.get(output_format, "a�[31m.py") in done.stdout


def test_a_file_is_replaced_at_once_and_keeps_its_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "x.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with target.open() as reader:
        files.save("new", str(link))
        assert reader.read() == "old"
    assert link.is_symlink()
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "x.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.json"
    target.write_text("old")

    def refuse(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UsageError, match="No space left on device"):
        files.save("new", str(target))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert target.read_text() == "old"


def test_a_file_that_may_not_be_written_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UsageError, match=r"cannot write .*x\.json: no permission"):
        files.prepare(str(tmp_path / "x.json"))


def test_a_file_in_a_folder_that_takes_no_other_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.json"
    target.write_text("old")
    before = target.stat().st_ino
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == target)
    files.prepare(str(target))
    files.save("new", str(target))
    assert (target.read_text(), target.stat().st_ino) == ("new", before)


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.prepare(str(pipe))
    files.save("text", str(pipe))
    reader.join(timeout=10)
    assert (read, pipe.is_fifo()) == (["text"], True)
