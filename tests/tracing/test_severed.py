"""Where the gradient is cut, and what hides an operator."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class TwoLayers(nn.Module):
    """a, then whatever `between` does, then b."""

    def __init__(self, between: Any) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.between(self.a(x)))


def without_gradient(x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return F.relu(x)


@pytest.mark.parametrize(
    ("between", "op"),
    [
        (lambda x: x.detach(), "detach"),
        (lambda x: x.data, "detach"),
        (without_gradient, "relu"),
        (lambda x: x.detach_(), "detach"),
        (lambda x: F.one_hot(x.argmax(-1), 3).float(), "argmax"),
    ],
)
def test_parameters_before_a_cut_are_unreachable(record: Any, between: Any, op: str) -> None:
    graph = record(TwoLayers(between), torch.randn(4, 3))

    assert graph.reachable == {"b.weight", "b.bias"}
    assert graph.used == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert not graph.view.nodes[op].requires_grad
    assert graph.view.nodes["linear"].requires_grad


def test_grad_mode_is_noted_per_node(record: Any) -> None:
    graph = record(TwoLayers(without_gradient), torch.randn(4, 3))

    enabled = {n.name: n.grad_enabled for n in graph.view.nodes.values()}
    assert not enabled["relu"]
    assert enabled["linear"] and enabled["linear_1"]


def test_frozen_parameters_are_used_but_not_reachable(record: Any) -> None:
    model = TwoLayers(F.relu)
    model.a.requires_grad_(False)

    graph = record(model, torch.randn(4, 3))

    assert graph.reachable == {"b.weight", "b.bias"}
    assert "a.weight" in graph.used


def test_gradient_is_recorded_whatever_the_callers_mode(record: Any) -> None:
    with torch.no_grad():
        graph = record(TwoLayers(F.relu), torch.randn(4, 3))
        assert not torch.is_grad_enabled()

    assert len(graph.reachable) == 4


class Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        return torch.mul(x, factor)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return grads[0] * 0.5, None


def test_a_custom_function_is_one_node(record: Any) -> None:
    original = torch.autograd.Function.__dict__["apply"]

    graph = record(TwoLayers(lambda x: Halve.apply(x, 0.5)), torch.randn(4, 3))

    node = graph.view.nodes["custom_function"]
    assert node.scalars == ("Halve", "0.5")
    assert node.inputs == ("linear",)
    assert [n.op for n in graph.view.nodes.values() if n.op != "parameter"] == [
        "input",
        "linear",
        "custom_function",
        "linear",
    ]
    assert len(graph.reachable) == 4
    assert torch.autograd.Function.__dict__["apply"] is original
    target = next(n for n in graph.graph.nodes if n.name == "custom_function").target
    assert target(torch.ones(2), 0.5).tolist() == [0.5, 0.5]


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.reentrant = reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = checkpoint(self.a, x, use_reentrant=self.reentrant)
        hidden = checkpoint(self._inner, hidden, use_reentrant=self.reentrant)
        return hidden

    def _inner(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(F.relu(x))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_seen_through(record: Any, reentrant: bool) -> None:
    graph = record(Checkpointed(reentrant), torch.randn(4, 3))

    assert [n.op for n in graph.view.nodes.values() if n.op != "parameter"] == ["input", "linear", "relu", "linear"]
    assert len(graph.reachable) == 4
    assert [c.module for c in graph.view.calls] == ["a", "b", ""]
