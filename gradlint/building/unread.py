"""Reads of a tensor's value that steer the program: on tensors without values they get the usual answer."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

GUARDED = frozenset({"__bool__", "item", "__int__", "__float__", "__index__", "__complex__", "tolist"})
CHECKS = frozenset({"all", "isfinite", "eq", "equal", "allclose"})
"""What makes a condition that usually holds (`if torch.isfinite(x).all()`); other conditions are answered False."""


def is_unread(tensor: object) -> bool:
    """Whether a tensor has no values that could be read."""
    return isinstance(tensor, FakeTensor) and tensor.constant is None


def usual_answer(read: str, tensor: torch.Tensor, producer: str) -> Any:
    """The value that such a read usually gives.

    Args:
        read: name of the reading method.
        tensor: the tensor read; only its shape and dtype are looked at.
        producer: canonical operator that made it.
    """
    holds = producer in CHECKS
    if read == "tolist":
        return _filled(tuple(tensor.shape), _scalar(tensor.dtype, holds))
    if read == "__bool__":
        return holds
    if read in ("__int__", "__index__"):
        return 1
    if read == "__float__":
        return 0.5
    if read == "__complex__":
        return 0.5 + 0j
    return _scalar(tensor.dtype, holds)


def _scalar(dtype: torch.dtype, holds: bool) -> bool | int | float:
    if dtype == torch.bool:
        return holds
    return 0.5 if dtype.is_floating_point or dtype.is_complex else 1


def _filled(shape: tuple[int, ...], value: Any) -> Any:
    if not shape:
        return value
    return [_filled(shape[1:], value) for _ in range(shape[0])]
