"""A file of blocks, and the models of other files that are made of them."""

import json
from pathlib import Path

import pytest

from gradlint import engine
from gradlint.cli import main
from gradlint.config import from_options
from gradlint.core.report import Report

BLOCKS = """from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.act = nn.Sigmoid()

    def forward(self, x):
        return self.act(self.linear(x))
"""
NET = """from blocks import Block
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*[Block(48) for _ in range(20)])
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.body(x))
"""
IGNORED = BLOCKS.replace("nn.Sigmoid()", "nn.Sigmoid()  # gradlint: ignore[GL101] as in the paper")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*paths: str, **options: object) -> Report:
    return engine.check(paths, from_options(**options))


def test_a_finding_shows_the_line_of_the_block_too(folder: Path) -> None:
    (finding,) = [finding for finding in check("net.py").findings if finding.code == "GL101"]
    places = [(site.location.path, site.location.line) for site in finding.sites]
    assert places == [("net.py", 8), ("net.py", 12), ("blocks.py", 8)]


def test_a_comment_in_the_block_silences_and_is_not_idle(folder: Path) -> None:
    (folder / "blocks.py").write_text(IGNORED)
    report = check("net.py", "blocks.py")
    assert [item.finding.code for item in report.suppressed] == ["GL101"]
    assert not {"GL101", "GL002"} & {finding.code for finding in report.findings}


def test_a_comment_is_not_idle_either_where_another_shard_needs_it(folder: Path) -> None:
    (folder / "blocks.py").write_text(IGNORED)
    for index in (1, 2):
        main(
            ["check", ".", "--shard", f"{index}/2", "--report", f"json=shard{index}.json", "--output-format", "concise"]
        )
    assert main(["merge", "shard1.json", "shard2.json", "--report", "json=all.json"]) == 0
    document = json.loads((folder / "all.json").read_text())
    assert [item["finding"]["code"] for item in document["suppressed"]] == ["GL101"] and document["findings"] == []


def test_a_comment_that_no_file_needs_is_idle(folder: Path) -> None:
    (folder / "blocks.py").write_text(IGNORED)
    (folder / "net.py").write_text(NET.replace("range(20)", "range(1)"))
    assert "GL002" in {finding.code for finding in check("net.py", "blocks.py").findings}


def test_per_file_ignores_mean_the_file_of_the_block(folder: Path) -> None:
    report = check("net.py", per_file_ignores={"blocks.py": ("GL101",)})
    assert [item.finding.code for item in report.suppressed] == ["GL101"]


def test_a_block_is_built_as_in_the_model_that_lists_it(folder: Path) -> None:
    (model,) = check("blocks.py").models
    assert model.built == "as in net.py:8" and model.inputs.startswith("(8, 48)")
