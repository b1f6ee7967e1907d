"""The truth benchmark: ensembles train as single networks would, labels and scores mean what they say."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.api import Edit, EditKind

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from outcomes import protocol
from outcomes.blueprints import Blueprint, draw, half, siblings
from outcomes.cures import came_true, carried_out
from outcomes.ensemble import Ensemble
from outcomes.labels import Label, labels
from outcomes.networks import build, example
from outcomes.plots import outcomes as plot
from outcomes.protocol import Run
from outcomes.report import Case, merit_table, verdict_table
from outcomes.scores import Share, auroc, precision, recall
from outcomes.tasks import CLASSES, TASKS, batch
from outcomes.verdicts import verdicts
from truth import NETWORKS as STORED
from truth import cases_of, read

NETWORKS = {
    "mlp": Blueprint(0, "mlp", 3, 8, "gelu", "layer", "two", "kaiming"),
    "mlp, batch norm": Blueprint(0, "mlp", 2, 8, "tanh", "batch", bias="none"),
    "cnn": Blueprint(0, "cnn", 2, 8, "relu", "rms", "scaled", "xavier", readout="flat"),
    "rnn": Blueprint(0, "recurrent", 2, 8, "rnn_tanh", steps=4, readout="mean"),
    "lstm": Blueprint(0, "recurrent", 1, 8, "lstm", init="open", steps=4, readout="last"),
    "gru": Blueprint(0, "recurrent", 2, 8, "gru", init="closed", steps=4, readout="last"),
    "transformer": Blueprint(0, "transformer", 1, 8, "silu", "layer", "one", "gpt", order="post"),
}


@pytest.mark.parametrize("blueprint", NETWORKS.values(), ids=NETWORKS)
def test_an_ensemble_trains_as_each_member_alone_would(blueprint: Blueprint) -> None:
    rates, clip = [0.1, 0.05, 0.01], [math.inf, 0.01, math.inf]
    is_adam = [False, False, True]
    ensemble = Ensemble(blueprint, [0, 1, 0], torch.tensor(rates), torch.tensor(is_adam), torch.tensor(clip))
    generator = torch.Generator().manual_seed(0)
    data = [batch(blueprint, TASKS[0], 6, generator) for _ in range(3)]
    for x, classes in data:
        ensemble.step(x.expand(3, *x.shape), classes.expand(3, -1))
    for member, seed in enumerate([0, 1, 0]):
        alone = build(blueprint, seed)
        optimiser: torch.optim.Optimizer = (
            torch.optim.Adam(alone.parameters(), rates[member])
            if is_adam[member]
            else torch.optim.SGD(alone.parameters(), rates[member], momentum=0.9)
        )
        for x, classes in data:
            optimiser.zero_grad()
            nn.functional.cross_entropy(alone(x), classes).backward()
            nn.utils.clip_grad_norm_(alone.parameters(), clip[member])
            optimiser.step()
        expected = torch.cat([p.detach().flatten() for p in alone.parameters()])
        torch.testing.assert_close(ensemble.weights[member], expected, rtol=2e-3, atol=2e-5)


def test_a_number_names_the_same_network_for_ever() -> None:
    assert draw(0) == Blueprint(0, "cnn", 16, 8, "hardtanh", init="orthogonal", readout=draw(0).readout)
    assert draw(7).to_dict() == draw(7).to_dict() != draw(8).to_dict()
    drawn = [draw(number) for number in range(200)]
    assert {b.family for b in drawn} == {"mlp", "cnn", "recurrent", "transformer"}
    groups: dict[tuple[str, str, str], set[int]] = {}
    for blueprint in drawn:
        groups.setdefault(blueprint.group, set()).add(half(blueprint))
    assert all(len(halves) == 1 for halves in groups.values())  # no kind is on both sides
    assert {side for halves in groups.values() for side in halves} == {0, 1}


@pytest.mark.parametrize("number", range(0, 60, 3))
def test_networks_run_on_their_tasks(number: int) -> None:
    blueprint = draw(number)
    for task in TASKS:
        x, classes = batch(blueprint, task, 4, torch.Generator().manual_seed(0))
        assert x.shape == example(blueprint, 4).shape
        assert build(blueprint, 0)(x).shape == (4, CLASSES)
        assert classes.min() >= 0 and classes.max() < CLASSES


def test_what_trains_and_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TRIAL", 50)
    monkeypatch.setattr(protocol, "EARLY", 50)
    monkeypatch.setattr(protocol, "BUDGET", 150)
    monkeypatch.setattr(protocol, "TASKS", ("suited",))
    monkeypatch.setattr(protocol, "CELLS", (("sgd", "suited"), ("adam", "suited")))
    healthy = Blueprint(0, "mlp", 2, 32, "relu", init="kaiming")
    usual = protocol.standard(siblings(healthy))
    assert usual["goals"]["suited"] < math.log(CLASSES)
    for network, trains in ((healthy, True), (Blueprint(0, "mlp", 16, 32, "sigmoid"), False)):
        cells = protocol.examine(network, usual["goals"])["cells"]
        assert [cell["steps"] is not None for cell in cells.values()] == [trains, trains]


def test_a_rate_that_blew_up_has_diverged_even_if_dead_units_hide_it() -> None:
    assert Run(("sgd", "suited"), 3.0, 0, losses=[40.0, 1.39, 1.39]).has_diverged(start=1.4)
    assert Run(("sgd", "suited"), 3.0, 0, losses=[1.4, math.nan]).has_diverged(start=1.4)
    assert not Run(("sgd", "suited"), 0.1, 0, losses=[1.39, 1.39, 1.39]).has_diverged(start=1.4)
    assert not Run(("sgd", "suited"), 0.1, 0, losses=[120.0, 60.0, 5.0]).has_diverged(start=128.0)


def outcome(**steps: int | None) -> dict[str, Any]:
    return {"cells": {name.replace("_", "-"): {"steps": value} for name, value in steps.items()}}


def test_labels() -> None:
    usual = {"steps": {"sgd-suited": 50, "sgd-fine": 100, "adam-suited": 50, "adam-fine": None}}
    found = labels(outcome(sgd_suited=None, sgd_fine=None, adam_suited=100, adam_fine=None), usual)
    assert found == {"sgd": Label.FAILS, "adam": Label.TRAINS, "unknown": Label.TRAINS}
    found = labels(outcome(sgd_suited=50, sgd_fine=None, adam_suited=500, adam_fine=None), usual)
    assert found == {"sgd": Label.HANDICAPPED, "adam": Label.HANDICAPPED, "unknown": Label.HANDICAPPED}
    hopeless = {"steps": dict.fromkeys(usual["steps"])}
    nothing = labels(outcome(sgd_suited=None, sgd_fine=None, adam_suited=None, adam_fine=None), hopeless)
    assert nothing == {"sgd": None, "adam": None, "unknown": None}


def test_scores() -> None:
    flags, truth = [True, True, False, False, True], [True, False, True, False, True]
    assert (precision(flags, truth), recall(flags, truth)) == (Share(2, 3), Share(2, 3))
    low, high = Share(9, 10).interval
    assert (low, high) == (pytest.approx(0.596, abs=1e-3), pytest.approx(0.982, abs=1e-3))  # Wilson 1927
    assert auroc([3.0, 1.0, 2.0, 2.0], [True, False, True, False]) == pytest.approx(3.5 / 4)
    assert math.isnan(auroc([1.0], [True]))


def test_a_remedy_is_carried_out_as_its_author_would() -> None:
    sick = Blueprint(0, "mlp", 12, 32, "sigmoid")
    changes = {
        Edit(EditKind.ACTIVATION, "", detail="gelu"): {"activation": "gelu"},
        Edit(EditKind.NORM, "", detail="layer_norm"): {"norm": "layer"},
        Edit(EditKind.SKIP, ""): {"skip": "two"},
        Edit(EditKind.INIT_GAIN, "", detail="xavier"): {"init": "xavier"},
    }
    for edit, change in changes.items():
        assert carried_out(sick, edit) == replace(sick, **change)
    assert carried_out(sick, Edit(EditKind.REMOVE, "")) is None
    assert came_true({"predicted": 2.0, "measured": 2.3}) and not came_true({"predicted": 2.0, "measured": 1.6})


def small() -> list[Blueprint]:
    """Networks whose outcomes are stored, as far as they are predicted in a second."""
    drawn = [Blueprint(**outcome["network"]) for outcome in read(STORED)]
    return [b for b in drawn if b.number < 40 and b.depth <= 8 and b.steps <= 20 and b.family != "cnn"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """What is said today of a few networks, beside what became of them when they were trained."""
    said = tmp_path_factory.mktemp("truth") / "said.jsonl"
    lines = [json.dumps(verdicts(blueprint, probe=False)) for blueprint in small()]
    said.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(cases_of(said))


def test_verdicts_agree_with_stored_outcomes(cases: list[Case]) -> None:
    assert len(cases) >= 12
    for optimiser in ("sgd", "adam", "unknown"):
        errors = [c for c in cases if c.said[optimiser]["worst"] == "error"]
        assert all(c.labels[optimiser] is Label.FAILS for c in errors), [c.blueprint for c in errors]
    failed = [c for c in cases if c.labels["sgd"] is Label.FAILS]
    assert sum(c.said["sgd"]["worst"] == "error" for c in failed) >= len(failed) / 2
    known = [c for c in cases if c.labels["sgd"] is not None]
    efforts = [c.said["figures"]["sgd"] for c in known]
    assert auroc(efforts, [c.labels["sgd"] is Label.FAILS for c in known]) >= 0.9


def test_tables_and_plot_hold_every_network(cases: list[Case], tmp_path: Path) -> None:
    assert f"| {len(cases)} " in verdict_table(cases, probed=False)
    assert "predicted effort" in merit_table(cases)
    plot(cases, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    known = sum(c.labels[optimiser] is not None for c in cases for optimiser in ("sgd", "adam"))
    assert drawn.count('r="3"') == known
