"""`gradlint check --shard` and `gradlint merge`: what comes out is what one run on all files would have said."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scratch import NET, SICK

from gradlint.cli import main
from gradlint.cli.formats import FORMATS
from gradlint.engine import run as engine_run

SHARED = NET.replace("[nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(2)]", "[nn.Linear(16, 16)] * 3")
"""One layer three times: GL507."""
SETTINGS = """
baseline = "known.json"
[[overrides]]
rule = "GL401"
model = "Gone*"
reason = "of no use any more"
[[overrides]]
rule = "GL507"
path = "e.py"
severity = "info"
reason = "meant"
[per-file-ignores]
"g.py" = ["GL507"]
"""


class Project:
    """A folder, and the command in it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._captured = folder, patch, captured

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)

    def __call__(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
        self._patch.chdir(cwd or self.folder)
        code = main(arguments)
        said = self._captured.readouterr()
        return code, said.out, said.err

    def shards(self, total: int, *arguments: str) -> list[str]:
        """The reports of all shards, each printed as JSON."""
        paths = []
        for index in range(1, total + 1):
            path = self.folder / f"shard-{index}.json"
            _, text, errors = self("check", *arguments, "--shard", f"{index}/{total}", "--output-format", "json")
            assert errors == ""
            path.write_text(text)
            paths.append(str(path))
        return paths


@pytest.fixture
def project(
    hire: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    """An empty project."""
    monkeypatch.setenv("GRADLINT_CACHE", "false")  # as workers are, which other tests have used
    monkeypatch.setattr(engine_run, "Worker", hire)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, monkeypatch, capsys)


def same(text: str) -> str:
    """A report without what it took."""
    return re.sub(r'(<testsuites [^>]*time=")[0-9.]+', r"\1", text)


def expect_equal(project: Project, total: int, *arguments: str) -> tuple[int, str]:
    """Hold merge and whole run against each other in every format; the exit code, and the full text."""
    shards = project.shards(total, *arguments)
    elsewhere = project.folder.parent / "elsewhere"  # where none of the files lie that reports speak of
    elsewhere.mkdir(exist_ok=True)
    texts: list[dict[str, str]] = []
    codes = []
    for number, (command, folder) in enumerate(((["check", *arguments], None), (["merge", *shards[::-1]], elsewhere))):
        paths = {name: project.folder.parent / f"{number}.{name}" for name in FORMATS}
        beside = [word for name, path in paths.items() for word in ("--report", f"{name}={path}")]
        code, text, errors = project(*command, "--verbose", "--show-skipped", *beside, cwd=folder)
        assert (text, errors) == (paths["full"].read_text(), "")
        codes.append(code)
        texts.append({name: same(path.read_text()) for name, path in paths.items()})
    assert codes[0] == codes[1]
    for name in FORMATS:
        assert texts[1][name] == texts[0][name], name
    return codes[0], texts[0]["full"]


def test_baseline_overrides_and_comments_over_all_shards(project: Project) -> None:
    project.write(a=SHARED, b=SHARED.replace("Net", "Moved"), gone=SHARED.replace("Net", "Lost"))
    assert project("baseline", "write", ".", "--baseline", "known.json")[0] == 0
    (project.folder / "gone.py").unlink()
    (project.folder / "b.py").unlink()
    project.write(
        c=SHARED.replace("Net", "Moved"),
        d=SICK.replace("class", "# gradlint: ignore[GL101] it is a joke\nclass"),
        e=SHARED,
        f=NET.replace("import nn", "import nn  # gradlint: ignore[GL101] of no use"),
        g=SHARED,
        h="x = 1\n",
    )
    (project.folder / "gradlint.toml").write_text(SETTINGS)
    code, text = expect_equal(project, 3, ".")
    assert code == 1
    assert [line.partition(":")[0] for line in text.splitlines() if re.match(r"\w+\[", line)] == [
        "info[GL507]",
        "warning[GL002]",  # of f.py
        "warning[GL002]",  # of the override
        "warning[GL004]",  # of gone.py
    ]
    assert "GL507 in gone.py (Lost.body.0): nothing that counts matches this entry any more" in text
    assert "note: a finding of the baseline moved from b.py to c.py" in text
    summaries = [json.loads(Path(path).read_text()) for path in project.shards(3, ".")]
    alone = [finding["code"] for summary in summaries for finding in summary["findings"]]
    assert "GL004" not in alone
    assert sorted(alone) == ["GL002", "GL507"]
    assert sum(summary["summary"]["files"] for summary in summaries) == 7


def test_what_could_not_be_analysed(project: Project) -> None:
    project.write(
        a=NET, b="import torch\ndef (\n", c="import torch\nraise SystemExit\nclass N(torch.nn.Module): pass\n"
    )
    code, _ = expect_equal(project, 2, "a.py", "b.py", "c.py", "gone.py", "--fail-on", "error")
    assert code == 2
    (project.folder / "a.py").unlink()
    shards = project.shards(2, ".", "--exit-zero")
    assert project("merge", *shards)[0] == project("check", ".", "--exit-zero")[0] == 2


def test_exit_codes_of_shards_and_merge(project: Project) -> None:
    project.write(a=NET, b=SICK)
    codes = [project("check", ".", "--shard", f"{index}/2")[0] for index in (1, 2)]
    assert sorted(codes) == [0, 1]
    assert [project("check", ".", "--shard", f"{index}/2", "--exit-zero")[0] for index in (1, 2)] == [0, 0]
    assert project("merge", *project.shards(2, "."), "--exit-zero")[0] == 0
    assert project("merge", *project.shards(2, ".", "--fail-on", "never"))[0] == 0
    project.write(b=SHARED)
    assert project("merge", *project.shards(2, ".", "--fail-on", "error"))[0] == 0


def test_a_shard_with_one_broken_file_leaves_it_to_the_merge(project: Project) -> None:
    project.write(a=NET, b="import torch\ndef (\n")
    assert [project("check", ".", "--shard", f"{i}/2", "--exit-zero")[0] for i in (1, 2)] == [0, 0]
    assert sorted(project("check", ".", "--shard", f"{i}/2")[0] for i in (1, 2)) == [0, 2]
    code, _ = expect_equal(project, 2, ".")
    assert code == 1


def test_nothing_to_do(project: Project) -> None:
    project.write(a="x = 1\n")
    code, text, errors = project("check", ".", "--shard", "2/2")
    assert (code, errors) == (0, "")
    assert text == "note: shard 2 of 2: 0 of 1 files\nNo model found (0 files).\n"
    assert expect_equal(project, 4, ".")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "9/8"], '--shard "9/8": there is no shard 9 of 8'),
        (["--shard", "x"], '--shard "x" is no shard\n  = help: as in --shard 3/8'),
        (["--shard", "1/2", "--since", "HEAD"], "--shard does not go with --since"),
        (["-", "--shard", "1/2"], "--shard takes files and folders, not standard input"),
    ],
)
def test_usage(project: Project, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradlint.cli.check._standard_input", lambda: b"")
    code, text, errors = project("check", *arguments)
    assert (code, text) == (2, "")
    assert message in errors


def test_shards_that_do_not_belong_together(project: Project) -> None:
    project.write(a="x = 1\n", b="y = 1\n")
    first, second, third = project.shards(3, ".")

    def refusal(*paths: str) -> str:
        code, text, errors = project("merge", *paths)
        assert (code, text) == (2, "")
        assert errors.startswith("error: ")
        return errors.removeprefix("error: ").replace(f"{project.folder}/", "")

    assert refusal(first, third).startswith("the report of shard 2 of 3 is missing\n")
    assert refusal(first).startswith("the report of shard 2, 3 of 3 is missing\n")
    assert refusal(first, second, third, second).startswith("shard-2.json and shard-2.json are both shard 2 of 3\n")
    other = project.folder / "other.json"

    def changed(*arguments: str, shard: str = "2/3") -> str:
        project("check", ".", "--shard", shard, "--report", f"json={other}", *arguments)
        return refusal(first, str(other), third).partition("\n")[0]

    assert changed(shard="2/4").startswith(
        "these are not shards of one run: shard-1.json is one of 3 shards, other.json"
    )
    different = "shard-1.json and other.json were made with different"
    assert changed("--timeout", "30") == f"{different} settings: timeout (60.0 and 30.0)"
    assert changed("--select", "GL101") == f"{different} settings: select (None and ['GL101'])"
    (project.folder / "known.json").write_text('{"version": 1, "findings": []}')
    assert changed("--baseline", "known.json") == f"{different} baselines: known.json"
    project("check", ".", "--shard", "2/3", "--report", f"json={other}", "--jobs", "2")
    assert project("merge", first, str(other), third)[0] == 0  # how many workers there were is nobody's business
    project.write(b="y = 2\n")
    assert changed().startswith(f"{different} files: b.py (")


def test_reports_that_are_none(project: Project) -> None:
    project.write(a="x = 1\n")
    (path,) = map(Path, project.shards(1, "."))
    document = json.loads(path.read_text())

    def refusal(text: str) -> str:
        path.write_text(text)
        code, _, errors = project("merge", path.name)
        assert code == 2
        return errors.removeprefix("error: ")

    shard = document["shard"]
    assert refusal(json.dumps({**document, "shard": {**shard, "gradlint": "9.9"}})).startswith(
        "shard-1.json is of gradlint 9.9, this is "
    )
    damaged = "shard-1.json: what the merge needs of it is damaged: "
    for broken in ({"data": "x"}, {"data": shard["data"][:-8]}, {"data": 5}, {"index": "one"}, {"data": ""}):
        assert refusal(json.dumps({**document, "shard": {**shard, **broken}})).startswith(damaged)
    assert "--> shard-1.json:1:" in refusal("{")
    assert refusal("[]").startswith("shard-1.json is no JSON report of gradlint\n")
    del document["shard"]
    assert refusal(json.dumps(document)).startswith("shard-1.json is not the report of a shard\n")
    project("check", ".", "--shard", "1/1", "--select", "GL1O1", "--report", f"json={path}")
    assert 'not the report of a shard, it tells of an error: "no rule matches "GL1O1""' in refusal(path.read_text())
    assert project("merge", "gone.json")[2].startswith("error: cannot read the report gone.json: No such file")
    assert project("merge")[0] == 2


def test_a_name_and_a_line_that_steer_a_terminal_come_through_unchanged(project: Project) -> None:
    (project.folder / "a\x1b[31m\u2028.py").write_text(SHARED.replace("* 3)", "* 3)  # \x1b[31m\x01"))
    (project.folder / "broken\u202e.py").write_text("import torch\n'\x01\x1b'; def (\n")
    code, text = expect_equal(project, 2, ".")
    assert code == 1
    assert "\x1b" not in text
    assert "* 3)  # �[31m�" in text


def test_with_the_probe_and_dependents(project: Project) -> None:
    project.write(blocks=SICK, net="from blocks import Net\n\n\nclass Outer(Net):\n    pass\n")
    code, text = expect_equal(project, 2, "blocks.py", "--with-dependents", "--probe")
    assert code == 1
    assert "also looked at, since they import what was named: net.py" in text
