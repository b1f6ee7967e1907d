"""Watch a construction: how many elements it allocates, and which call initialised each tensor last."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FACTORIES: frozenset[Any] = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.eye, torch.normal}
)
_KINDS = {
    "empty": "uninitialised",
    "zeros": "zeros",
    "zero_": "zeros",
    "zeros_": "zeros",
    "ones": "constant",
    "ones_": "constant",
    "full": "constant",
    "fill_": "constant",
    "constant_": "constant",
    "rand": "uniform",
    "uniform_": "uniform",
    "kaiming_uniform_": "uniform",
    "kaiming_normal_": "normal",
    "randn": "normal",
    "normal_": "normal",
    "eye": "eye",
    "eye_": "eye",
    "copy_": "values",
}
"""Init call → kind of law."""


class TooLargeError(BaseException):
    """Raised inside the user's constructor to leave it; no `except Exception` of theirs may hold it."""


class Guard(TorchFunctionMode):
    """Counts the elements of factory calls, and leaves the construction where they exceed `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.elements = 0
        self.kinds: dict[int, str] = {}
        """Storage pointer → kind of the last call that filled it."""
        self._counted: set[int] = set()

    @property
    def exceeded(self) -> bool:
        """Whether the construction asked for more than the limit."""
        return self.elements > self.limit

    def count_unseen(self, parameter: torch.Tensor) -> None:
        """Count a parameter that no factory call made: `torch.Tensor(n, m)` is invisible to a function mode."""
        if type(parameter).__name__ == "UninitializedParameter":
            return
        pointer = parameter.untyped_storage().data_ptr()
        if pointer not in self._counted:
            self._counted.add(pointer)
            self.elements += parameter.numel()
            if self.exceeded:
                raise TooLargeError

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count, call, remember."""
        kwargs = kwargs or {}
        if func in FACTORIES:
            self.elements += requested(args, kwargs)
            if self.exceeded:
                raise TooLargeError
        result = func(*args, **kwargs)
        if func in FACTORIES and isinstance(result, torch.Tensor):
            self._counted.add(result.untyped_storage().data_ptr())
        kind = _KINDS.get(getattr(func, "__name__", ""))
        if kind is not None and isinstance(result, torch.Tensor):
            self.kinds[result.untyped_storage().data_ptr()] = kind
        return result


def requested(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Number of elements that a factory call asks for (0 where its arguments do not tell)."""
    size = kwargs.get("size", args[0] if args and isinstance(args[0], tuple | list) else args)
    if not isinstance(size, tuple | list) or not all(isinstance(side, int) for side in size):
        return 0
    return math.prod(size) if size else 1
