"""`gradlint baseline` and `check --baseline`: findings over time, with real files."""

import io
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradlint.cli import main
from gradlint.engine import run as engine_run
from gradlint.worker.process import Worker

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Done = tuple[int, str, str]
"""Exit code, standard output, standard error."""
NAME = "gradlint-baseline.json"
NET = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(*[nn.Linear(8, 8)] * 3)

    def forward(self, x):
        return self.layer(x)
"""
REFORMATTED = """'''Now with a docstring.'''
from torch import nn


# and a comment
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(
            *[nn.Linear(8,  8)]  # shared
            * 3,
        )

    def forward(self, x): return (self.layer(x))
"""
LAYERS = "nn.Sequential(*[nn.Linear(8, 8)] * 3)"
UNBUILDABLE = NET.replace("class Net", "class Odd").replace(LAYERS, "nn.Linear(8, 'eight')")


class Project:
    """A folder with a model that has one finding: GL507, of its layers."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._captured = folder, patch, captured
        self.baseline = folder / NAME
        self.write("net.py")

    def write(self, name: str, text: str = NET) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def __call__(self, *arguments: str, cwd: Path | None = None) -> Done:
        self._patch.chdir(cwd or self.folder)
        code = main(arguments)
        said = self._captured.readouterr()
        return code, said.out, said.err

    def entries(self) -> list[tuple[str, str, str, str, int]]:
        found = json.loads(self.baseline.read_text())["findings"]
        assert found.pop() is None
        return [(e["path"], e["model"], e["module"], e["rule"], e["count"]) for e in found]

    def check(self, *arguments: str, cwd: Path | None = None) -> tuple[int, list[str], dict[str, Any]]:
        """Exit code, codes of the findings that count, and the whole document."""
        given = arguments if "--baseline" in arguments else (*arguments, "--baseline", NAME)
        code, text, _ = self("check", *given, "--output-format", "json", cwd=cwd)
        document = json.loads(text)
        return code, [finding["code"] for finding in document["findings"]], document


@pytest.fixture
def project(
    hire: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """A project whose baseline holds its one finding."""
    monkeypatch.setattr(engine_run, "Worker", hire)
    made = Project(tmp_path, monkeypatch, capsys)
    code, text, errors = made("baseline", "write")
    assert (code, errors) == (0, "")
    assert text.splitlines()[0] == f"{made.baseline.resolve()}: 1 finding (1 new)"
    return made


def test_the_installed_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    assert run("baseline", "write", cwd=tmp_path).returncode == 0
    (tmp_path / "net.py").write_text(REFORMATTED)
    done = run("check", "--baseline", NAME, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Nothing new in 1 model (1 file). (1 in the baseline)\n"), done.stderr
    (tmp_path / "net.py").write_text(NET.replace("* 3", "* 4"))
    done = run("check", "--baseline", NAME, "--output-format", "concise", cwd=tmp_path)
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines()[:2]] == ["warning[GL507]", "warning[GL004]"]


def test_known_findings_are_kept_and_not_counted(project: Project) -> None:
    assert project.entries() == [("net.py", "Net", "layer.0", "GL507", 1)]
    code, codes, document = project.check()
    assert (code, codes) == (0, [])
    assert (document["summary"]["baselined"], document["summary"]["suppressed"], document["summary"]["errors"]) == (
        1,
        0,
        0,
    )
    (kept,) = document["suppressed"]
    assert (kept["by"], kept["reason"], kept["finding"]["code"]) == ("baseline", "", "GL507")
    assert project("check")[0] == 1
    text = project("check", "--baseline", NAME)[1]
    assert text == "Nothing new in 1 model (1 file). (1 in the baseline)\n"


@pytest.mark.parametrize(
    "text",
    [
        "import os\n\n\n" + NET,
        REFORMATTED,
        NET.replace("\n", "\r\n"),
        NET.replace("    def forward", "    def more(self):\n        return 1\n\n    def forward"),
    ],
)
def test_moved_and_reformatted_lines_stay_known(project: Project, text: str) -> None:
    (project.folder / "net.py").write_bytes(text.encode())
    assert project.check()[:2] == (0, [])
    before = project.baseline.read_bytes()
    assert project("baseline", "prune")[0] == 0
    assert project.baseline.read_bytes() == before


def test_parts_of_models_are_taken_up_where_they_are_asked_for(project: Project) -> None:
    outer = (
        "\n\nclass Outer(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.net = Net()\n"
    )
    project.write("net.py", f"{NET}{outer}\n    def forward(self, x):\n        return self.net(x)\n")
    assert project("baseline", "write")[0] == 0
    assert [entry[1] for entry in project.entries()] == ["Outer"]
    assert project("baseline", "write", "--all-modules")[0] == 0
    assert sorted(entry[1] for entry in project.entries()) == ["Net", "Outer"]


def test_a_renamed_file_is_reported_as_moved(project: Project) -> None:
    (project.folder / "models").mkdir()
    (project.folder / "net.py").rename(project.folder / "models" / "new.py")
    code, codes, document = project.check()
    assert (code, codes) == (0, [])
    assert [item["reason"] for item in document["suppressed"]] == ["moved from net.py"]
    for style in ("full", "concise"):
        text = project("check", "--baseline", NAME, "--output-format", style)[1]
        assert "note: a finding of the baseline moved from net.py to models/new.py" in text
    assert "1 finding (1 moved)" in project("baseline", "prune")[1]
    assert project.entries() == [("models/new.py", "Net", "layer.0", "GL507", 1)]
    assert project("check", "--baseline", NAME)[1].startswith("Nothing new")


def test_a_renamed_class_is_another_model(project: Project) -> None:
    project.write("net.py", NET.replace("class Net", "class Tower"))
    code, codes, document = project.check()
    assert (code, codes) == (1, ["GL507", "GL004"])
    place = document["findings"][1]
    assert (place["path"], place["line"]) == (NAME, 4)
    assert place["message"] == "GL507 in net.py (Net.layer.0): nothing that counts matches this entry any more"
    assert "1 finding (1 new, 1 removed)" in project("baseline", "write")[1]
    assert project.check()[:2] == (0, [])


def test_a_fix_and_a_new_defect_do_not_cancel_out(project: Project) -> None:
    for changed in (NET.replace("layer", "tail"), NET.replace("* 3", "* 4")):
        project.write("net.py", changed)
        assert project.check()[:2] == (1, ["GL507", "GL004"])


def test_a_second_model_is_new_until_it_is_taken_up(project: Project) -> None:
    project.write("net.py", NET + NET.replace("from torch import nn\n", "").replace("Net", "Twin"))
    assert project.check()[:2] == (1, ["GL507"])
    assert "2 findings (1 new)" in project("baseline", "write")[1]
    assert [entry[1] for entry in project.entries()] == ["Net", "Twin"]
    assert project.check()[:2] == (0, [])


def test_a_copy_in_another_file_is_new(project: Project) -> None:
    project.write("copy.py")
    assert project.check()[:2] == (1, ["GL507"])
    assert project.check("copy.py")[:2] == (1, ["GL507"])


def test_stale_entries_are_told_and_pruned(project: Project) -> None:
    project.write("net.py", NET.replace(LAYERS, "nn.Identity()"))
    project.write("other.py", NET.replace("Net", "Other"))
    code, codes, _ = project.check("net.py")
    assert (code, codes) == (1, ["GL004"])
    assert project.check("other.py")[:2] == (1, ["GL507"])  # net.py was not checked
    assert project.check("net.py", "--ignore", "GL004")[:2] == (0, [])
    assert project.check("net.py", "--config", 'severity.stale-baseline = "info"')[:2] == (0, ["GL004"])
    assert "0 findings (1 removed)" in project("baseline", "prune")[1]
    assert project.entries() == []
    assert project.check("net.py")[:2] == (0, [])


def test_a_deleted_file_is_stale_where_its_folder_is_checked(project: Project) -> None:
    other = project.write("other.py", NET.replace("Net", "Other"))
    assert project("baseline", "write")[0] == 0
    other.unlink()
    assert project.check("net.py")[:2] == (0, [])
    assert project.check(".")[:2] == (1, ["GL004"])


def test_a_model_that_cannot_be_analysed_is_never_green_by_accident(project: Project) -> None:
    project.write("net.py", NET.replace(LAYERS, "nn.Linear(8, 'eight')"))
    code, codes, _ = project.check()
    assert (code, codes) == (2, ["GL001"])  # nothing could be analysed; the entry of GL507 is not called stale
    before = project.baseline.read_bytes()
    code, _, errors = project("baseline", "write")
    assert code == 2
    assert "the baseline is left as it is: nothing could be analysed (Net: " in errors
    assert project.baseline.read_bytes() == before


def test_an_unanalysed_model_can_be_known_but_stays_told(project: Project) -> None:
    project.write("odd.py", UNBUILDABLE)
    assert project.check()[:2] == (1, ["GL001"])
    assert "Not analysed: 1 model" in project("baseline", "write")[1]
    code, codes, document = project.check()
    assert (code, codes, document["summary"]["unanalysed"]) == (0, [], 1)
    told = project("check", "--baseline", NAME)[1]
    assert "Not analysed: 1 of" in told and "(1 known)" in told and "not analysed: odd.py" not in told
    assert "not analysed: odd.py" in project("check", "--baseline", NAME, "--show-skipped")[1]
    assert project.check("odd.py")[0] == 0  # even where it is all there is: it was so before
    project.write("odd.py", UNBUILDABLE.replace("'eight'", "8").replace("self.layer(x)", "self.layer(x, 1)"))
    assert project.check()[:2] == (1, ["GL001"])  # it fails elsewhere now
    project.write("odd.py", UNBUILDABLE.replace("nn.Linear(8, 'eight')", "nn.Identity()"))
    assert project.check()[:2] == (1, ["GL004"])


def test_writing_some_paths_keeps_the_entries_of_others(project: Project) -> None:
    project.write("other.py", NET.replace("Net", "Other"))
    assert "2 findings (1 new)" in project("baseline", "write", "other.py")[1]
    assert [entry[0] for entry in project.entries()] == ["net.py", "other.py"]
    assert project("baseline", "prune", "other.py", "--ignore", "GL507")[0] == 0
    assert len(project.entries()) == 2


def test_merged_lines_of_two_branches(project: Project) -> None:
    path = project.folder / NAME
    base = path.read_text().splitlines()
    project.write("a.py", NET.replace("Net", "A"))
    project("baseline", "write")
    ours = path.read_text().splitlines()
    (project.folder / "a.py").unlink()
    path.write_text("\n".join(base))
    project.write("z.py", NET.replace("Net", "Z"))
    project("baseline", "write", "net.py", "z.py")
    theirs = path.read_text().splitlines()
    project.write("a.py", NET.replace("Net", "A"))
    assert sum(line not in base for line in ours) == sum(line not in base for line in theirs) == 1
    union = [*base[:3], ours[3], *base[3:4], *base[3:4], theirs[4], *base[4:]]
    path.write_text("\n".join(union))
    assert project.check()[:2] == (0, [])
    project("baseline", "prune")
    assert [entry[0] for entry in project.entries()] == ["a.py", "net.py", "z.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the baseline is not valid JSON"),
        ('{"version": 7, "findings": []}', "the baseline is of version 7, expected 1"),
        ("<<<<<<< HEAD\n", "the marks of a merge conflict"),
    ],
)
def test_a_corrupt_baseline_exits_2_and_is_left_alone(project: Project, text: str, message: str) -> None:
    project.baseline.write_text(text)
    for arguments in (["check", "--baseline", NAME], ["baseline", "write", "--baseline", NAME], ["baseline", "prune"]):
        code, _, errors = project(*arguments)
        assert code == 2
        assert message in errors
        assert f"--> {NAME}:1:" in errors
    assert project.baseline.read_text() == text
    assert project.check("--exit-zero")[0] == 2


def test_an_absent_baseline_exits_2(project: Project) -> None:
    project.baseline.unlink()
    code, _, errors = project("check", "--baseline", NAME)
    assert code == 2
    assert errors == (
        f"error: there is no baseline {NAME}\n  = help: write it: gradlint baseline write --baseline {NAME}\n"
    )
    assert project("baseline", "prune")[0] == 2
    assert project("baseline", "write", "gone.py")[0] == 2
    assert not project.baseline.exists()


def test_the_key_of_the_configuration_is_relative_to_its_file(project: Project, tmp_path: Path) -> None:
    (project.folder / "gradlint.toml").write_text('baseline = "ci/known.json"\n')
    (project.folder / "ci").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, text, errors = project("baseline", "write", "..", cwd=elsewhere)
    assert (code, errors) == (0, "")
    assert text.splitlines() == [f"{tmp_path.resolve()}/ci/known.json: 1 finding (1 new)"]
    assert json.loads((project.folder / "ci" / "known.json").read_text())["findings"][0]["path"] == "../net.py"
    assert project("check", "../net.py", cwd=elsewhere)[0] == 0
    assert project("check", "net.py", "--config", 'baseline = ""')[0] == 1


def test_paths_and_working_directories_do_not_matter(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "deep" / "er"
    elsewhere.mkdir(parents=True)
    for given in ("../../net.py", str(project.folder / "net.py"), str(project.folder), "../../net.py:Net"):
        found = project.check(given, "--baseline", f"../../{NAME}", cwd=elsewhere)
        assert found[:2] == (0, []), given
    link = tmp_path / "link"
    link.symlink_to(project.folder)
    assert project.check(str(link / "net.py"), "--baseline", str(link / NAME), cwd=elsewhere)[:2] == (0, [])


@pytest.mark.parametrize(("text", "code"), [("\n\n" + NET, 0), (NET.replace("* 3", "* 4"), 1)])
def test_standard_input_is_held_against_it_too(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert project("check", "-", "--stdin-filename", "net.py", "--baseline", NAME)[0] == code


def test_several_workers_say_and_write_the_same(project: Project) -> None:
    for name in ("a", "b", "c"):
        project.write(f"{name}.py", NET.replace("Net", name.upper()))
    project.write("net.py", NET.replace("layer", "tail"))
    one, two = (project.check("-j", jobs) for jobs in "12")
    assert one == two
    assert one[:2] == (1, ["GL507"] * 4 + ["GL004"])
    written = []
    for jobs in "12":
        assert project("baseline", "write", "-j", jobs, "--baseline", f"{jobs}.json")[0] == 0
        written.append((project.folder / f"{jobs}.json").read_text())
    assert written[0] == written[1]


def test_what_a_comment_silences_is_not_taken_up_and_idle_comments_stay_told(project: Project) -> None:
    project.write("net.py", NET.replace("* 3)", "* 3)  # gradlint: ignore[GL507] meant"))
    assert project.check()[:2] == (1, ["GL004"])
    project.write("net.py", NET.replace("self.layer(x)", "self.layer(x)  # gradlint: ignore[GL101]"))
    assert "Not taken up: 1 finding about comments or overrides" in project("baseline", "write")[1]
    assert project.check()[:2] == (1, ["GL002"])


def test_the_example_of_the_docs(project: Project) -> None:
    page = (Path(__file__).parents[2] / "docs" / "baseline.md").read_text()
    source, written = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[-1] for kind in ("python", "json"))
    shown = "".join(re.findall(r"```console\n(.*?)```", page, re.DOTALL)).replace(
        "/home/me/project", str(project.folder)
    )
    project.baseline.unlink()
    project.write("net.py", source)
    write, *checks = [command.split()[1:] for command in re.findall(r"^\$ (.*)$", shown, re.MULTILINE)]
    said = f"$ gradlint {' '.join(write)}\n{project(*write)[1]}"
    assert project.baseline.read_text() == written
    for number, command in enumerate(checks):
        if number == 1:
            project.write("net.py", source.replace("        self.spare = nn.Linear(8, 2)\n", ""))
        said += f"$ gradlint {' '.join(command)}\n{project(*command)[1]}"
    assert said == shown
