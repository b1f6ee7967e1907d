"""Without inputs the structure is still known."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gradlint.building.built import BuiltModel
from gradlint.core.errors import AnalysisError
from gradlint.core.graph import Origin
from gradlint.tracing import ModelGraph, trace_symbolically


def symbolic(model: nn.Module) -> ModelGraph:
    return trace_symbolically(BuiltModel(None, model, {}, {}, {}))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.rnn = nn.LSTM(4, 4)
        self.branch = Branching()
        self.cut = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x).flatten(2).mean(-1)
        x = self.rnn(x)[0] + self.cut(x).detach()
        return F.softmax(self.head(self.branch(x)), dim=-1)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if x.sum() > 0 else x


def test_modules_are_expanded_and_names_canonical() -> None:
    model = Model()
    counter = model.body[1].num_batches_tracked.clone()

    graph = symbolic(model)

    ops = [n.op for n in graph.view.nodes.values() if n.op not in ("parameter", "buffer")]
    assert ops[:4] == ["input", "conv2d", "batch_norm", "relu"]
    assert ops[4:] == [
        "flatten",
        "mean",
        "lstm",
        "getitem",
        "linear",
        "detach",
        "add",
        "branching",
        "linear",
        "softmax",
    ]
    assert all(n.shape is None and n.origin is Origin.SYMBOLIC for n in graph.view.nodes.values())
    assert graph.view.traced_by == "symbolic"
    assert graph.view.nodes["conv2d"].module == "body.0"
    assert graph.view.nodes["softmax"].scalars[0] == "dim=-1"
    assert graph.view.nodes["softmax"].location is not None
    assert torch.equal(model.body[1].num_batches_tracked, counter)


def test_reachability_is_read_off_the_structure() -> None:
    graph = symbolic(Model())

    assert graph.used - graph.reachable == {"cut.weight", "cut.bias"}
    assert {"rnn.weight_hh_l0", "branch.inner.weight", "body.1.weight"} <= graph.reachable


def test_a_model_that_cannot_be_traced_says_why() -> None:
    with pytest.raises(AnalysisError) as caught:
        symbolic(Branching())

    assert caught.value.stage == "trace"
    assert caught.value.location is not None
    assert caught.value.location.context == "Branching.forward"
    assert "inputs" in caught.value.remedy
