"""Norms of one sample: what is left of activations and cotangents after layer, group, instance or RMS norm."""

import math

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Transfer
from gradlint.propagation.dims import Role, count, image_dims
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.affine import affine
from gradlint.propagation.transfer.contraction import as_units, last_as_units

CHANCE = 4.0
"""Within so many standard errors of zero a mean over particles counts as zero."""
WIDE = 16
"""From this many units on, the statistics of a group are those of its particles (law of large numbers)."""


def plain_layer_norm(signal: Signal, eps: float = 1e-5) -> Signal:
    """Layer norm over units, without scale and shift."""
    return Signal(_normalised(signal.x, eps, centre=True, over_positions=False), signal.shape, signal.dims)


def layer_norm(call: Call) -> Signal:
    """Statistics over the last dims of each position (over positions too, where the norm's shape covers them)."""
    shape = call.arg(1, "normalized_shape")
    axes = len(shape) if isinstance(shape, tuple | list | torch.Size) else 1
    y = _last_dims(call, axes, float(call.arg(4, "eps", 1e-5) or 1e-5), centre=True)
    return affine(call, y, call.arg(2, "weight"), call.arg(3, "bias"), y.dims[:-axes])


def rms_norm(call: Call) -> Signal:
    """Like layer norm, without the mean (Zhang & Sennrich 2019)."""
    shape = call.arg(1, "normalized_shape")
    axes = len(shape) if isinstance(shape, tuple | list | torch.Size) else 1
    y = _last_dims(call, axes, float(call.arg(3, "eps") or 1e-6), centre=False)
    return affine(call, y, call.arg(2, "weight"), None, y.dims[:-axes])


def _last_dims(call: Call, axes: int, eps: float, *, centre: bool) -> Signal:
    signal = call.signal(call.args[0])
    signal = last_as_units(signal, call)
    over_positions = count(signal.dims[-axes:], Role.POSITION) > 1
    units = count(signal.dims[-axes:], Role.UNIT)
    y = _normalised(signal.x, eps, centre=centre, over_positions=over_positions)
    elements = units * count(signal.dims[-axes:], Role.POSITION)
    if not over_positions and 4 <= elements < 512:
        y = _finite(y, (elements - 2) / (elements - 3) if centre else (elements - 1) / max(1, elements - 2))
    return Signal(y, call.shape, signal.dims)


def _normalised(x: Tensor, eps: float, *, centre: bool, over_positions: bool) -> Tensor:
    """Standardise over units (and over the two positions of each sample)."""
    if x.shape[1] == 1:
        return x / (x.square() + eps).sqrt()
    value = _as_groups(x.detach(), over_positions)
    if centre:
        value = value - value.mean(2, keepdim=True)
    deviation = (value.square().mean(2, keepdim=True) + eps).sqrt()
    y = value / deviation

    def back(g: Tensor, scale: float) -> Tensor:
        c = _as_groups(g, over_positions)
        left = c - y * _significant(c * y) - (_significant(c) if centre else 0.0)
        return _from_groups(left / deviation, over_positions)

    return emit(_from_groups(y, over_positions), (x, back))


def _as_groups(x: Tensor, over_positions: bool) -> Tensor:
    """`[R, S]` → `[groups, BLOCKS, elements]`: what one norm of one sample sees, once per column of the cotangents."""
    if not over_positions:
        return x.reshape(P.R, P.BLOCKS, -1)
    return x.reshape(2, 2, P.BLOCKS, -1).transpose(1, 2).reshape(2, P.BLOCKS, -1)


def _from_groups(x: Tensor, over_positions: bool) -> Tensor:
    if over_positions:
        x = x.reshape(2, P.BLOCKS, 2, -1).transpose(1, 2)
    return x.reshape(P.R, -1)


def _significant(x: Tensor) -> Tensor:
    """Mean over the elements of each group, zero where it is no more than chance.

    What chance leaves over a few hundred particles would be taken out of all positions alike, and batch sums would
    multiply it by thousands; over the features of a real norm it differs from position to position (`_finite`).
    """
    mean = x.mean(2, keepdim=True)
    noise = x.std(2, keepdim=True) / x.shape[2] ** 0.5
    return torch.where(mean.abs() > CHANCE * noise, mean, torch.zeros_like(mean))


def _finite(y: Tensor, factor: float) -> Tensor:
    """E[1/σ̂²] over few elements is larger than 1/E[σ̂²]."""
    return emit(y.detach(), (y, lambda g, scale: g * math.sqrt(factor)))


def group_norm(call: Call) -> Signal:
    """Statistics over the units of a group and all positions of a sample."""
    signal = call.signal(call.args[0])
    signal = as_units(signal, (1,), image_dims(signal.shape), call)
    groups = int(call.arg(1, "num_groups"))
    y = _group(call, signal, signal.shape[1] // groups, float(call.arg(4, "eps", 1e-5)))
    return affine(call, y, call.arg(2, "weight"), call.arg(3, "bias"))


def instance_norm(call: Call) -> Signal:
    """Statistics over the positions of one unit of one sample."""
    signal = call.signal(call.args[0])
    signal = as_units(signal, (1,), image_dims(signal.shape), call)
    y = _group(call, signal, 1, float(call.arg(7, "eps", 1e-5)))
    return affine(call, y, call.arg(1, "weight"), call.arg(2, "bias"))


def _group(call: Call, signal: Signal, units: int, eps: float) -> Signal:
    """Backward (g − mean g − y·mean(g·y))/σ: a cotangent that depends on y (a ReLU's mask) loses more to it."""
    positions = signal.count(Role.POSITION)
    if units >= WIDE or positions * units <= 1:
        y = _normalised(signal.x, eps, centre=True, over_positions=positions > 1)
        return Signal(y, call.shape, signal.dims)
    x = signal.value
    around = x - x.mean(1, keepdim=True)
    c = P.moments(around)
    variance = max(_without_group_mean(c, units, positions).q, 0.0) + eps

    def ahead(m: P.Moments) -> P.Moments:
        return _without_group_mean(m, units, positions).times(1 / variance)

    elements = units * positions  # the projection on y takes out 1/elements where g does not depend on y
    left = (1 - 1 / elements) * ((elements - 2) / (elements - 3) if elements > 4 else 1.0)

    y = P.reshape_moments(around, ahead(c), "gn", call.key, current=c)
    z = P.moments(y)

    def back(g: Tensor, scale: float) -> Tensor:
        now = P.moments(g)
        seen = _group_mean(P.moments(g * y), units, positions) - _group_mean(now.product(z), units, positions)
        taken = P.Moments(z.q, z.p, 0.0, 0.0).times(max(seen, 0.0) / variance)
        return P.reshape_cotangent(g, ahead(now).minus(taken).times(left), "gn-back", call.key, current=now)

    return Signal(emit(y, (signal.x, back)), call.shape, signal.dims)


def _group_mean(m: P.Moments, units: int, positions: int) -> float:
    """Second moment of the mean over `units` exchangeable units and all positions of the sample."""
    return (m.q + (positions - 1) * m.p) / positions / units


def _without_group_mean(m: P.Moments, units: int, positions: int) -> P.Moments:
    """Moments after the mean over `units` exchangeable units and all positions of the sample is taken out."""
    same = _group_mean(m, units, positions)
    other = (m.s + (positions - 1) * m.o) / positions / units
    return P.Moments(m.q - same, m.p - same, m.s - other, m.o - other)


RULES: dict[str, Transfer] = {
    "layer_norm": layer_norm,
    "native_layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
}
