"""Nets of a thousand layers: thousands of modules each, so they are counted by themselves."""

from collections.abc import Callable

import torch
from accuracy_models import Case, Inputs
from torch import Tensor, nn


class Scaled(nn.Module):
    """A constant times a tensor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Deep(nn.Module):
    """A thousand layers."""

    def __init__(self, layer: Callable[[], nn.Module], depth: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer() for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)


DEEP: dict[str, Callable[[], nn.Module]] = {
    "1000 layers, pre-norm": lambda: Deep(
        lambda: nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU()), 1000, 64
    ),
    "1000 layers, scaled": lambda: Deep(_little, 1000, 64),
    "1000 layers, orthogonal": lambda: nn.Sequential(*_orthogonal(1000, 64), nn.Linear(64, 10)),
}


def _little() -> nn.Module:
    """A branch a thousand times repeated, each a little."""
    return nn.Sequential(nn.Linear(64, 64), nn.Tanh(), Scaled(0.03))


def _orthogonal(depth: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [_rotation(width), nn.Tanh()]
    return layers


def _rotation(width: int) -> nn.Linear:
    linear = nn.Linear(width, width)
    nn.init.orthogonal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _vectors() -> Inputs:
    return (torch.randn(16, 64),)


def cases() -> tuple[Case, ...]:
    """All of them."""
    return tuple(Case(name, build, _vectors) for name, build in DEEP.items())
