"""The accuracy benchmark over zoos: the whole path on two tiny models, and what becomes of one that fails."""

import argparse
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import accuracy_document
import accuracy_plots
import accuracy_report
import accuracy_store
import accuracy_zoo
from accuracy_models import Case
from accuracy_store import Record, load
from scoring import seen

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
OPTIONS = {"only": ["transposed", "GEGLU"], "seeds": 2, "limit": 120, "again": False, "report": False}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accuracy_store, "FOLDER", tmp_path)
    return tmp_path


def run(**options: object) -> list[Record]:
    return accuracy_zoo.run(["features"], argparse.Namespace(**{**OPTIONS, **options}))


def test_two_models_through_the_whole_path(folder: Path) -> None:
    records = run()
    assert [record.failed for record in records] == ["", ""]
    for record in records:
        found = record.comparison()
        for score, median, high in (
            (found.activations, 0.05, 0.3),
            (found.gradients, 0.05, 0.3),
            (found.parameters, 0.1, 0.4),
        ):
            assert score.coverage == 1.0
            assert score.at(0.5) <= median
            assert score.at(0.95) <= high
    before = [record.path.read_text() for record in records]
    run()  # repeats nothing
    assert [record.path.read_text() for record in records] == before
    again = run(again=True)
    assert all(record.seeds == 2 for record in again)
    judged = [accuracy_report.judge(record) for record in again]
    text = accuracy_document.text(judged)
    assert "| GEGLU" in text
    assert "first jumps backward" in text
    accuracy_plots.scatter(judged, folder / "scatter.svg")
    accuracy_plots.operators(judged, folder / "operators.svg")
    assert (folder / "scatter.svg").read_text().count("<path") >= 3
    assert "Linear" in (folder / "operators.svg").read_text()


class Faulty(nn.Module):
    """Runs its layers, and then does what it is told."""

    def __init__(self, fate: str) -> None:
        super().__init__()
        self.layers, self.fate = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), fate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fate == "raise":
            raise ValueError("no such thing")
        if self.fate == "die":
            os._exit(3)
        return self.layers(x)


@pytest.mark.parametrize(("fate", "reason"), [("raise", "no such thing"), ("die", "ended with status 3")])
def test_a_model_that_fails_counts_as_a_decade_per_module(fate: str, reason: str) -> None:
    case = Case(fate, lambda: Faulty(fate), lambda: (torch.randn(2, 4),))
    record = accuracy_zoo.complete(Record("features", fate), case, 1, 120)
    assert reason in record.failed
    assert load("features", fate).failed == record.failed
    found = record.comparison()
    assert [abs(error.decades) for error in found.gradients.errors] == [1.0] * 4
    assert found.gradients.coverage == 0.0
    assert "failed" in accuracy_report.models([accuracy_report.judge(record)])


def test_the_first_module_at_which_an_error_jumps() -> None:
    figures = [{"a": 1.0, "b": 1.0, "c": 1.0}]
    guessed = [{"a": 1.1, "b": 2.0, "c": 2.0}]
    score = accuracy_store.score(guessed, figures)
    assert accuracy_report.first_jump(score, ["a", "b", "c"]) == "b"
    assert accuracy_report.first_jump(score, ["c", "b", "a"]) == "c"
    assert accuracy_report.first_jump(accuracy_store.score(figures, figures), ["a", "b", "c"]) == ""


def test_what_no_hook_has_seen_is_no_measurement() -> None:
    """A reversible block reads zero although its weights get a gradient; one that nothing reaches is zero in truth."""
    gradients = {"": 1.0, "body": 0.0, "body.conv": 0.0, "body.act": 0.0, "head": 2.0, "unused": 0.0}
    found = seen(gradients, {"body.conv.weight": 3.0, "head.weight": 1.0, "unused.weight": 0.0})
    assert found == {"": 1.0, "body": None, "body.conv": None, "body.act": None, "head": 2.0, "unused": 0.0}


def test_an_aim_that_is_missed_is_named() -> None:
    figures = dict.fromkeys("abcdefghij", 1.0)
    near = {kind: dict(figures) for kind in accuracy_report.AIMS}
    far = {kind: {**figures, **dict.fromkeys("abcdef", 2.0)} for kind in accuracy_report.AIMS}
    good = accuracy_store.Record("lib", "good", measured=[near], predicted=[near])
    bad = accuracy_store.Record("lib", "bad", measured=[near], predicted=[far])
    assert accuracy_report.misses([accuracy_report.judge(good)]) == []
    missed = accuracy_report.misses([accuracy_report.judge(bad)])
    assert len(missed) == 6  # 0.301 is within what parameters are allowed at the 95th percentile
    assert missed[0] == "activations: median 0.301, to reach 0.05"
    assert missed[-1] == "1 models with a median above 0.2, to reach 0"
