"""What a forward leaves one level deeper than its model's attributes is put back too."""

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

import gradlint


class Cache:
    """As the key-value caches of language models."""

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None
        self.calls = 0
        self.held = torch.zeros(8)


@dataclass(slots=True)
class Slotted:
    calls: int = 0
    seen: list[int] = field(default_factory=list)


class Table(dict[str, Any]):
    def clear(self) -> None:
        raise AssertionError("nobody else may call this")


class Caching(nn.Module):
    """Its forward fails on a batch of another size than the one that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.cache = Cache()
        self.tables: dict[str, list[torch.Tensor]] = {"k": []}
        self.slotted = Slotted()
        self.space = types.SimpleNamespace(inner=[{1}, Table(n=0)])
        self.pair = (torch.zeros(8), [torch.zeros(8)])
        self.hidden = [nn.BatchNorm1d(8)]
        self.itself = [self.space]
        self.itself.append(self.itself)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k = self.hidden[0](self.layer(x))
        held = self.cache.keys
        self.cache.keys = k if held is None else torch.cat([held, k], 1)
        self.cache.calls += 1
        self.cache.extra = 1
        self.cache.held.add_(1)
        self.pair[0].add_(1)
        self.pair[1][0].mul_(0).add_(2)
        self.tables["k"].append(k)
        self.slotted.calls += 1
        self.slotted.seen.append(1)
        self.space.inner[0].add(2)
        self.space.inner[1]["n"] += 1
        return torch.as_tensor(self.cache.keys).mean(1)


def state(model: Caching) -> list[Any]:
    norm = model.hidden[0]
    return [
        {name: value for name, value in vars(model.cache).items() if name != "held"},
        model.tables,
        (model.slotted.calls, model.slotted.seen),
        model.space.inner,
        [tensor.tolist() for tensor in (model.cache.held, model.pair[0], model.pair[1][0])],
        [tensor.tolist() for tensor in norm.state_dict().values()],
        (norm.training, norm.weight.grad),
    ]


@pytest.mark.parametrize(
    "run",
    [
        gradlint.flow,
        gradlint.measure,
        lambda model, x: gradlint.check_model(model, x, probe=True),
    ],
    ids=["flow", "measure", "check"],
)
def test_caches_are_left_as_found(run: Callable[[nn.Module, torch.Tensor], object]) -> None:
    model = Caching()
    model.hidden[0].eval()
    before = repr(state(model))
    run(model, torch.randn(4, 8))
    assert repr(state(model)) == before
    model(torch.randn(3, 8))


def test_also_where_inputs_are_searched_for() -> None:
    model = Caching()
    before = repr(state(model)[:4])
    report = gradlint.check_model(model)
    assert report.models
    assert repr(state(model)[:4]) == before
    model(torch.randn(3, 8))
