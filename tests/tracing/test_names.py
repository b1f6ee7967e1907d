"""Every spelling of an operator has one name."""

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Applied(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x * self.scale)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("add", lambda x: x + 1),
        ("add", lambda x: 1 + x),
        ("add", lambda x: operator.iadd(x, 1)),
        ("add", lambda x: x.add_(1)),
        ("add", lambda x: torch.add(x, 1)),
        ("rsub", lambda x: 1 - x),
        ("sub", lambda x: torch.subtract(x, 1)),
        ("mul", lambda x: operator.imul(x, 2)),
        ("div", lambda x: x / 2),
        ("div", lambda x: 2 / x),
        ("div", lambda x: x.true_divide(2)),
        ("pow", lambda x: x**2),
        ("pow", lambda x: 2**x),
        ("matmul", lambda x: x @ torch.ones(3, 3)),
        ("matmul", lambda x: torch.ones(2, 2) @ x),
        ("t", lambda x: x.T),
        ("transpose", lambda x: x.mT),
        ("transpose", lambda x: x.swapaxes(0, 1)),
        ("detach", lambda x: x.data),
        ("detach", lambda x: x.detach()),
        ("getitem", lambda x: x[:, 0]),
        ("relu", F.relu),
        ("relu", lambda x: F.relu(x, inplace=True)),
        ("relu", torch.relu_),
        ("gelu", F.gelu),
        ("silu", nn.SiLU(inplace=True)),
        ("hardswish", nn.Hardswish(inplace=True)),
        ("leaky_relu", nn.LeakyReLU(inplace=True)),
        ("softmax", lambda x: x.softmax(-1)),
        ("softmax", lambda x: F.softmax(x, dim=-1)),
        ("max_pool1d", lambda x: F.max_pool1d(x[None], 2)),
        ("max_pool2d", lambda x: F.max_pool2d(x[None], 2, return_indices=True)[0]),
        ("clamp", lambda x: x.clip(0, 1)),
        ("cat", lambda x: torch.concat([x, x])),
        ("to", lambda x: x.double()),
        ("to", lambda x: x.to(torch.float64)),
        ("layer_norm", lambda x: F.layer_norm(x, (3,))),
        ("conv1d", lambda x: F.conv1d(x[None], torch.ones(1, 2, 1))),
        ("sigmoid", torch.special.expit),
        ("neg", lambda x: -x),
        ("abs", abs),
    ],
)
def test_one_name_for_every_spelling(record: Any, name: str, function: Callable[[torch.Tensor], Any]) -> None:
    graph = record(Applied(function), torch.rand(2, 3))

    ops = [node.op for node in graph.view.nodes.values()]
    assert name in ops
    assert ops[:3] == ["input", "parameter", "mul"]


def test_reflected_operators_have_their_operands_in_order(record: Any) -> None:
    graph = record(Applied(lambda x: 2**x), torch.rand(2, 3))

    power = next(n for n in graph.graph.nodes if n.name == "pow_1")
    assert power.args[0] == 2
    assert power.target(2, torch.tensor(3.0)) == 8


def test_in_place_spellings_say_so(record: Any) -> None:
    graph = record(Applied(lambda x: x.add_(1)), torch.rand(2, 3))

    assert graph.view.nodes["add"].inplace
    assert not graph.view.nodes["mul"].inplace
