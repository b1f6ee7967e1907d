"""Tensors that take shape and dtype from another one but nothing of its value: they are constants."""

from collections.abc import Callable
from typing import Any

import torch

LIKE = frozenset(
    {
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"),
    }
)
"""Factories of that kind."""

_REAL_LIMIT = 1 << 22
"""Elements; a larger constant made from a fake tensor stays fake."""


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no values."""
    return type(tensor).__name__ == "FakeTensor" or tensor.device.type == "meta"


def made_like(
    op: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.Tensor, float | None]:
    """What a factory of `LIKE` gives, real where it is small; and the one value that fills it where it stays fake.

    Uninitialised memory holds zeros here: what it happens to hold must not decide what is predicted.
    """
    result: torch.Tensor = func(*args, **kwargs)
    if not is_fake(result):
        return (result.zero_() if "empty" in op else result), None
    if result.numel() > _REAL_LIMIT:
        return result, _content(op, args, kwargs)
    real = [torch.empty(a.shape, dtype=a.dtype) if isinstance(a, torch.Tensor) else a for a in args]
    result = func(*real, **kwargs)
    return (result.zero_() if "empty" in op else result), None


def _content(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float | None:
    if "full" in op:
        value = kwargs.get("fill_value", args[-1] if len(args) > 1 else None)
        return float(value) if isinstance(value, int | float) else None
    return {"zeros": 0.0, "empty": 0.0, "ones": 1.0}.get(op.removeprefix("new_").removesuffix("_like"))
