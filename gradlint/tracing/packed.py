"""Packed sequences that are all of one length: packing is a reshape then, and the recurrence an ordinary one."""

from collections.abc import Callable
from typing import Any

import torch

PACKED = frozenset("pack_padded_sequence pad_packed_sequence lstm gru rnn_tanh rnn_relu".split())  # noqa: SIM905
"""Operators that take or give packed sequences."""

Run = Callable[..., Any]
"""Runs a function of torch on arguments, and records it."""


def even(op: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], run: Run) -> Any:
    """The result of an operator on sequences of one length, by operators on what is not packed; else None.

    Args:
        op: canonical name, one of `PACKED`.
        func: torch's function of that name.
        args: its arguments, in the order of `torch._VF`.
        kwargs: must be empty.
        run: how to call what stands for it.
    """
    if kwargs:
        return None
    if op == "pack_padded_sequence" and len(args) == 3:
        return _pack(*args, run=run)
    if op == "pad_packed_sequence" and len(args) == 5:
        return _unpack(*args, run=run)
    if op in PACKED and len(args) == 9 and isinstance(args[1], torch.Tensor) and isinstance(args[3], tuple | list):
        return _recur(func, args[0], args[1], args[2], args[3:], run=run)
    return None


def _pack(x: torch.Tensor, lengths: torch.Tensor, batch_first: bool, *, run: Run) -> Any:
    time = x.shape[1 if batch_first else 0]
    if type(lengths) is not torch.Tensor or not bool((lengths == time).all()):
        return None
    turned = run(torch.Tensor.transpose, x, 0, 1) if batch_first else x
    data = run(torch.Tensor.reshape, turned, (-1, *x.shape[2:]))
    return data, torch.full((time,), len(lengths), dtype=torch.int64)


def _unpack(
    data: torch.Tensor, sizes: torch.Tensor, batch_first: bool, padding: float, total: int | None, *, run: Run
) -> Any:
    if not _is_even(sizes) or total not in (None, len(sizes), -1):
        return None
    steps = run(torch.Tensor.reshape, data, (len(sizes), int(sizes[0]), *data.shape[1:]))
    turned = run(torch.Tensor.transpose, steps, 0, 1) if batch_first else steps
    return turned, torch.full((int(sizes[0]),), len(sizes), dtype=torch.int64)


def _recur(
    func: Callable[..., Any], data: torch.Tensor, sizes: torch.Tensor, state: Any, rest: tuple[Any, ...], *, run: Run
) -> Any:
    if not _is_even(sizes):
        return None
    steps = run(torch.Tensor.reshape, data, (len(sizes), int(sizes[0]), *data.shape[1:]))
    out, *states = run(func, steps, state, *rest, False)
    return run(torch.Tensor.reshape, out, (-1, out.shape[-1])), *states


def _is_even(sizes: Any) -> bool:
    return type(sizes) is torch.Tensor and len(sizes) > 0 and bool((sizes == sizes[0]).all())
