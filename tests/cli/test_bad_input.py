"""Every bad input, through the installed command: one clear message, the right exit code, the others still checked."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOSTILE = Path(__file__).parents[2] / "fixtures" / "hostile"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Told:
    """What the report says of one hostile file."""

    reason: str
    line: int
    remedy: str


TOLD = {
    "raises.py": Told("building Raises failed: KeyError: 'large'", 10, 'target = "raises.py:Raises"'),
    "exits.py": Told("building Exits failed: it called sys.exit(3)", 11, 'target = "exits.py:Exits"'),
    "loops.py": Told("building the model took more than 8 s and was stopped", 10, "--timeout 24"),
    "kills.py": Told("building the model killed the process (SIGKILL)", 12, "os.kill"),
    "leaves.py": Told("building the model ended the process (exit status 0)", 11, "os._exit"),
    "crashes.py": Told("building the model killed the process (SIGSEGV)", 11, "crashes"),
    "hoards.py": Told("building the model needs more than the 1 GiB of memory that it may take", 11, "--memory 2"),
    "garbles.py": Told("building the model disturbed gradlint's own channel", 8, "file descriptors"),
    "needs_arguments.py": Told(
        "NeedsArguments needs arguments that are not known: vocabulary, encoder", 6, "kwargs = {"
    ),
    "unknown_inputs.py": Told("no input found on which UnknownInputs.forward(batch) runs", 12, "inputs = ["),
    "nan_weights.py": Told("the parameter last.weight holds NaN (1 of 32 elements)", 11, "torch.nn.init"),
    "not_utf8.py": Told("the file is not valid UTF-8: byte 0xe9 in line 3", 3, "coding: latin-1"),
    "syntax_error.py": Told("not valid Python: expected ':'", 4, "--exclude syntax_error.py"),
}
UNHARMED = {"prints.py": "Prints", "forks.py": "Forks", "zz_healthy.py": "Net"}
WITHOUT_MODEL = {"empty.py": "the file is empty", "no_models.py": "imports neither torch nor a framework built on it"}


@pytest.fixture(scope="module")
def hostile(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run over all hostile files, a healthy one and a directory that is called like a file."""
    folder = tmp_path_factory.mktemp("hostile")
    for path in HOSTILE.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "zz_healthy.py").write_text((HOSTILE / "prints.py").read_text().replace("class Prints", "class Net"))
    done = run("check", ".", "--output-format", "json", "--timeout", "8", "--memory", "1", "-j", "2", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("name", TOLD)
def test_hostile_file_is_one_finding_with_reason_line_and_remedy(name: str, hostile: dict[str, Any]) -> None:
    told = TOLD[name]
    (finding,) = [f for f in hostile["findings"] if f["path"] == name and f["code"] == "GL001"]
    assert told.reason in finding["message"]
    assert finding["severity"] == "warning"
    assert finding["line"] == told.line
    assert told.remedy in finding["remedies"][0]["edit"]
    (skipped,) = [item for item in hostile["skipped"] if item["path"] == name]
    assert told.reason in skipped["reason"]
    assert told.remedy in skipped["remedy"]


def test_every_hostile_file_is_accounted_for(hostile: dict[str, Any]) -> None:
    files = {path.name for path in HOSTILE.glob("*.py")} | {"zz_healthy.py"}
    assert files == TOLD.keys() | UNHARMED.keys() | WITHOUT_MODEL.keys()
    assert hostile["summary"]["files"] == len(files)
    assert hostile["summary"]["unanalysed"] == len(TOLD)


@pytest.mark.parametrize("name", UNHARMED)
def test_the_others_are_still_checked(name: str, hostile: dict[str, Any]) -> None:
    assert [model["name"] for model in hostile["models"] if model["path"] == name] == [UNHARMED[name]]


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_files_without_a_model_are_a_note(name: str, hostile: dict[str, Any]) -> None:
    (skipped,) = [item for item in hostile["skipped"] if item["path"] == name]
    assert skipped["reason"] == WITHOUT_MODEL[name]
    assert not [f for f in hostile["findings"] if f["path"] == name]


def test_a_model_that_fails_alone_is_not_green(run: Run) -> None:
    done = run("check", "raises.py", cwd=HOSTILE)
    assert done.returncode == 2
    assert "--> raises.py:10:22 in Raises.__init__" in done.stdout
    assert '        self.scale = {"small": 1.0}["large"]' in done.stdout
    assert "Not analysed: 1 of 1 model." in done.stdout


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_a_file_without_a_model_alone_is_clean_with_a_note(name: str, run: Run) -> None:
    done = run("check", name, cwd=HOSTILE)
    assert done.returncode == 0
    assert f"skipped: {name}:1: {WITHOUT_MODEL[name]}" in done.stdout


@pytest.mark.parametrize("name", ["syntax_error.py", "not_utf8.py"])
def test_a_file_that_cannot_be_read_alone_is_not_green(name: str, run: Run) -> None:
    done = run("check", name, "--output-format", "concise", cwd=HOSTILE)
    assert done.returncode == 2
    assert f"{name}:{TOLD[name].line}:" in done.stdout
    assert TOLD[name].reason in done.stdout


def test_a_path_that_does_not_exist(run: Run) -> None:
    done = run("check", "prints.py", "exit.py", "--output-format", "json", cwd=HOSTILE)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["skipped"] == [
        {
            "path": "exit.py",
            "line": 0,
            "name": "",
            "reason": 'there is no file or directory "exit.py"',
            "remedy": 'did you mean "exits.py"?',
        }
    ]
    assert [model["name"] for model in document["models"]] == ["Prints"]


def test_a_file_that_the_system_does_not_let_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    done = run("check", "folder.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "not analysed: the file cannot be read: Is a directory" in done.stdout
    assert "= help: make it a readable file, or leave it out with --exclude" in done.stdout
    if os.getuid() != 0:
        secret = tmp_path / "secret.py"
        secret.write_text("x = 1\n")
        secret.chmod(0)
        assert "Permission denied" in run("check", "secret.py", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["--select", "GL1O1"], 'no rule matches "GL1O1"', 'did you mean "GL101"?'),
        (["--ignore", "unanalyzable-model"], 'no rule matches "unanalyzable-model"', '"unanalysable-model"?'),
        (["--config", "timeot = 3"], 'unknown key "timeot"', 'did you mean "timeout"?'),
        (["--config", "timeout = "], "is not TOML", "timeout = 30"),
        (["--config", "gone.toml"], "there is no file gone.toml", "key = value"),
        (["--timeout", "-1"], "timeout: expected `float` > 0.0", "timeout is e.g. 60"),
        (["--config", "timeout = -1"], "timeout: expected `float` > 0.0", "timeout is e.g. 60"),
        (["--select", ""], "--select names no rule: ''", "leave it out for all"),
        (["--select", ","], "--select names no rule: ','", "leave it out for all"),
        (["--config", "select = []"], "no rule is selected: select is empty", "leave it out for all stable rules"),
    ],
)
@pytest.mark.parametrize("output_format", ["full", "json"])
def test_settings_that_cannot_be_meant(
    arguments: list[str], message: str, remedy: str, output_format: str, run: Run
) -> None:
    done = run("check", "empty.py", *arguments, "--output-format", output_format, cwd=HOSTILE)
    assert done.returncode == 2
    assert message in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr
    if output_format == "json":
        (skipped,) = json.loads(done.stdout)["skipped"]
        assert message in skipped["reason"]
    else:
        assert done.stdout == ""


def test_an_unknown_key_in_a_file_names_file_and_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.gradlint]\ntimeout = 9\nslect = []\n")
    done = run("check", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f'error: unknown key "slect" in the configuration ({tmp_path}/pyproject.toml)\n'
        f"  --> {tmp_path}/pyproject.toml:3:1\n"
        '  = help: did you mean "select"?\n'
    )


def test_an_empty_selection_is_never_all_clear(run: Run, model: Path) -> None:
    done = run("check", ".", cwd=model.parent, GRADLINT_SELECT="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: GRADLINT_SELECT names no rule: ''" in done.stderr
    path = model.parent / "gradlint.toml"
    path.write_text("jobs = 1\nselect = []\n")
    done = run("check", ".", cwd=model.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: no rule is selected: select is empty\n  --> {path}:2:1\n" in done.stderr


def test_settings_nested_without_end(run: Run, tmp_path: Path) -> None:
    nested = "exclude = " + "[" * 5000 + "]" * 5000
    done = run("check", ".", "--config", nested, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: --config: nested too deeply\n" in done.stderr
    (tmp_path / "gradlint.toml").write_text(nested + "\n")
    done = run("check", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: nested too deeply\n  --> {tmp_path}/gradlint.toml:1:1\n" in done.stderr


def test_options_for_an_unknown_rule(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_text("[rules.shure-thing]\nwidth = 3\n")
    done = run("check", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert 'did you mean "sure-thing"?' in done.stderr


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ("widht = 3", 'rules.sure-thing: unknown option "widht"', 'did you mean "width"?'),
        ('width = "3"', "rules.sure-thing.width: expected a whole number, got '3'", "`gradlint rule TST101`"),
        ("width = true", "rules.sure-thing.width: expected a whole number, got True", "`gradlint rule TST101`"),
        ("width = 3.5", "rules.sure-thing.width: expected a whole number, got 3.5", "`gradlint rule TST101`"),
    ],
)
def test_options_that_a_rule_does_not_have(run: Run, tmp_path: Path, options: str, message: str, remedy: str) -> None:
    (tmp_path / "gradlint.toml").write_text(f"jobs = 1\n[rules.sure-thing]\n{options}\n")
    done = run("check", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: {message}\n  --> {tmp_path}/gradlint.toml:3:1\n  = help: {remedy}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rule", "GL1O1"], 'did you mean "GL101"?'),
        (["chekc"], 'did you mean "check"?'),
        (["check", "--out-format", "json"], "No such option"),
        (["check", "--fail-on", "errors"], "'errors' is not one of"),
        (["flow", "gone.py:Net"], 'there is no file or directory "gone.py"'),
        (["flow", "no_models.py"], "imports neither torch"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], message: str, run: Run) -> None:
    done = run(*arguments, cwd=HOSTILE)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rule_that_raises_is_an_internal_error_and_the_others_still_count(run: Run, model: Path) -> None:
    arguments = ["--select", "TST101,TST900", "--output-format", "json"]
    done = run("check", "model.py", *arguments, cwd=model.parent)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert [finding["code"] for finding in document["findings"]] == ["GL001", "TST101"]
    reason = "the rule TST900 broken-thing failed: ZeroDivisionError: oops"
    assert [item["reason"] for item in document["skipped"]] == [reason]
    assert "--ignore TST900" in document["skipped"][0]["remedy"]
