"""Callables that stand in the graph where torch's own function cannot be called with the recorded arguments."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradlint.tracing.names import is_property, is_reflected, raw_name

_SWAPPED: dict[str, Callable[..., Any]] = {
    "pow": torch.pow,
    "div": operator.truediv,
    "rdiv": operator.truediv,
    "matmul": torch.matmul,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
}


def alias_update(stale: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    """A view (or base) whose memory another node has written: re-executed, its content is already the new one."""
    return stale


def opaque(*_: Any) -> Any:
    """A tensor that came about outside of what the recorder sees; it cannot be computed again."""
    raise NotImplementedError("a tensor made outside torch's functions cannot be recomputed")


class CustomFunction:
    """An `autograd.Function` of the user's, as one operator."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.__name__ = "custom_function"
        self.__module__ = __name__
        self.class_name = str(cls.__name__)

    def __call__(self, *args: Any) -> Any:
        return self.cls.apply(*args)


def executable(
    func: Callable[..., Any], op: str, args: tuple[Any, ...]
) -> tuple[Callable[..., Any], str, tuple[Any, ...]]:
    """Function, operator name and arguments with which a recorded call can be run again.

    Transposing properties become `t`, `permute` or `transpose`; reflected operators get their operands in order.
    """
    if is_property(func):
        return _property(raw_name(func), func, args)
    if is_property(func, "__set__"):
        return _assign_data, "set_data", args
    if is_reflected(func) and op in _SWAPPED:
        return _SWAPPED[op], op, (args[1], args[0])
    return func, op, args


def _property(
    name: str, func: Callable[..., Any], args: tuple[Any, ...]
) -> tuple[Callable[..., Any], str, tuple[Any, ...]]:
    x = args[0]
    if name == "data":
        return torch.Tensor.detach, "detach", (x,)
    if name == "T" and x.dim() <= 2:
        return torch.t, "t", (x,)
    if name == "T":
        return torch.permute, "permute", (x, tuple(reversed(range(x.dim()))))
    if name in ("mT", "mH") or (name == "H" and not x.is_complex()):
        return torch.transpose, "transpose", (x, -2, -1)
    return func, name, (x,)


def _assign_data(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    x.data = value
    return x


def set_item(x: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    """`x[index] = value`, giving the written tensor."""
    x[index] = value
    return x


def flat_repr(args: Sequence[Any], kwargs: dict[str, Any], holds_tensor: Callable[[Any], bool]) -> tuple[str, ...]:
    """`repr` of the arguments that hold no tensor, keyword arguments as `name=value`."""
    positional = [repr(a) for a in args if not holds_tensor(a)]
    named = [f"{k}={v!r}" for k, v in kwargs.items() if not holds_tensor(v)]
    return tuple(text[:200] for text in (*positional, *named))
