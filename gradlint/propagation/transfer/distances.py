"""Distances between two tensors: losses inside of a model (commitment of a code book, agreement of two views)."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NamedCall, Transfer
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.elementwise import operands
from gradlint.propagation.transfer.reduction import mean_over

_NONE, _MEAN, _SUM = "none", "mean", "sum"
_BY_NUMBER = {0: _NONE, 1: _MEAN, 2: _SUM}
"""What torch's own functions call the ways to reduce."""


def distance(call: Call) -> Signal:
    """Of each element, then its mean or sum over all of them."""
    given = call.arg(2, "reduction", _MEAN)
    reduction = _BY_NUMBER.get(given, _MEAN) if isinstance(given, int) else given
    extents = [tuple(value.shape) for value in call.args[:2]]
    shape = tuple(np.broadcast_shapes(*extents))
    whole = NamedCall(call.node, call.op, call.args, call.kwargs, call.run, name=call.key, extent=shape)
    (left, right), dims = operands(whole, list(call.args[:2]))
    y = _of(call, left - right)
    width = y.shape[1] if y.dim() == 2 else 1
    signal = Signal(y.expand(P.R, width), shape, dims)
    if reduction == _NONE:
        return signal
    mean = mean_over(call, signal, tuple(range(len(shape))))
    return mean if reduction == _MEAN else mean.with_x(mean.x * math.prod(shape))


def _of(call: Call, apart: Tensor) -> Tensor:
    if call.op.op == "mse_loss":
        return apart.square()
    if call.op.op == "l1_loss":
        return apart.abs()
    zero = torch.zeros_like(apart)
    if call.op.op == "huber_loss":
        return F.huber_loss(apart, zero, reduction="none", delta=float(call.arg(3, "delta", 1.0)))
    return F.smooth_l1_loss(apart, zero, reduction="none", beta=float(call.arg(3, "beta", 1.0)))


RULES: dict[str, Transfer] = dict.fromkeys(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"), distance)
