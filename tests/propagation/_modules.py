"""Small modules that the cases are made of."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

WIDTH = 128


class Chain(nn.Sequential):
    """A Sequential whose class stands in a short file (its source is looked up by every `adopt`)."""


class Op(nn.Module):
    """An operator as a module, so that its own exit is measured."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        """Apply it."""
        return self.function(*args)


class Fan(nn.Module):
    """Branches that read the same tensor, joined by an operator."""

    def __init__(self, join: Callable[..., Any], *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.join = Op(join)

    def forward(self, x: Tensor) -> Any:
        """Run the branches and join what they give."""
        return self.join(*(branch(x) for branch in self.branches))


class Skip(nn.Module):
    """x + f(x)."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = Chain(*inner)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the inside gives to what it reads."""
        y: Tensor = x + self.inner(x)
        return y


def dense(inputs: int = WIDTH, outputs: int = WIDTH, *, bias: bool = True) -> nn.Linear:
    """A linear layer of the usual width."""
    return nn.Linear(inputs, outputs, bias=bias)


def point(axes: int = 2, inputs: int = WIDTH, outputs: int = WIDTH, *, bias: bool = True) -> nn.Module:
    """A 1x1 convolution: positions stay independent."""
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](inputs, outputs, 1, bias=bias)


def pooled(width: int = WIDTH) -> Chain:
    """A global average and a classifier: every position gets the same gradient."""
    return Chain(Op(lambda x: x.flatten(2).mean(2)), nn.Linear(width, width))


def token_mean(x: Tensor) -> Tensor:
    """Mean over tokens."""
    return x.mean(1)
