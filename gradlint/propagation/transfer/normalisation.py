"""Normalisation layers: what is left of activations and cotangents after batch, layer, group, instance or RMS norm.

Batch norm uses the exact finite-batch moments: the centred covariance of a unit over samples and positions has three
eigenvalues, each drawn as a scaled chi-square (design `flow.md`, correction 1; large-batch limit: Yang et al. 2019).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Transfer
from gradlint.propagation.dims import Dims, Role, count, dim, image_dims
from gradlint.propagation.profiles import normalised
from gradlint.propagation.sharing import shared
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.contraction import as_units
from gradlint.propagation.weights import Weight, per_unit

DRAWS = 4096
WIDE = 16
"""From this many units on, the statistics of a group are those of its particles (law of large numbers)."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """Eigenvalue draws of one batch norm: samples B, positions P, sums of squares w of three classes, their total."""

    samples: int
    positions: int
    freedom: tuple[int, int, int]
    parts: tuple[np.ndarray, np.ndarray, np.ndarray]
    total: np.ndarray

    @staticmethod
    def draw(m: P.Moments, samples: int, positions: int, eps: float, *, chance: bool) -> "BatchStatistics":
        """Chi-square draws for Gaussian units (`chance`), or their means where units are not fresh Gaussians."""
        b, p = samples, positions
        values = (
            m.q - m.p - m.s + m.o,
            (m.q - m.p) + (b - 1) * (m.s - m.o),
            (m.q - m.s) + (p - 1) * (m.p - m.o),
        )
        freedom = ((b - 1) * (p - 1), p - 1, b - 1)
        rng = np.random.default_rng(0)
        parts = []
        for value, f in zip(values, freedom, strict=True):
            draws = rng.chisquare(f, DRAWS) if chance and 0 < f < 4000 else np.full(DRAWS if chance else 1, float(f))
            parts.append(max(value, 0.0) * draws)
        total = parts[0] + parts[1] + parts[2] + eps * b * p
        return BatchStatistics(b, p, freedom, (parts[0], parts[1], parts[2]), np.maximum(total, 1e-300))

    def forward(self) -> P.Moments:
        """Moments of the normalised activation."""
        n = self.samples * self.positions
        return self._join(
            [
                float((n * w / self.total).mean()) / f if f else 0.0
                for w, f in zip(self.parts, self.freedom, strict=True)
            ]
        )

    def backward(self, g: P.Moments) -> P.Moments:
        """Moments of the cotangent before the norm, from those of the one behind it."""
        b, p, n = self.samples, self.positions, self.samples * self.positions
        gamma = [
            max(v, 0.0)
            for v in (g.q - g.p - g.s + g.o, (g.q - g.p) + (b - 1) * (g.s - g.o), (g.q - g.s) + (p - 1) * (g.p - g.o))
        ]
        mixed = sum(c * w for c, w in zip(gamma, self.parts, strict=True)) / self.total
        out = []
        for c, w, f in zip(gamma, self.parts, self.freedom, strict=True):
            if not f:
                out.append(0.0)
                continue
            share = w / f / self.total
            out.append(float((n * (c - 2 * c * share + share * mixed) / self.total).mean()))
        return self._join(out)

    @property
    def inverse_variance(self) -> float:
        """E[1/σ̂²]."""
        return float((self.samples * self.positions / self.total).mean())

    def _join(self, classes: list[float]) -> P.Moments:
        both, position, sample = classes
        b, p, n = self.samples, self.positions, self.samples * self.positions
        return P.Moments(
            ((b - 1) * (p - 1) * both + (p - 1) * position + (b - 1) * sample) / n,
            (-(b - 1) * both - position + (b - 1) * sample) / n if p > 1 else sample * (b - 1) / n,
            (-(p - 1) * both + (p - 1) * position - sample) / n if b > 1 else position * (p - 1) / n,
            (both - position - sample) / n if b > 1 and p > 1 else (-sample / n if b > 1 else -position / n),
        )


def batch_norm(call: Call) -> Signal:
    """Statistics over samples and positions, per unit; running statistics where the layer is in evaluation mode."""
    signal = call.signal(call.args[0])
    signal = as_units(signal, (1,), image_dims(signal.shape), call)
    weight, bias = call.arg(1, "weight"), call.arg(2, "bias")
    if not call.arg(5, "training", True):
        return _frozen(call, signal, weight, bias)
    return affine(call, plain_batch_norm(call, signal, float(call.arg(7, "eps", 1e-5))), weight, bias)


def plain_batch_norm(call: Call, signal: Signal, eps: float = 1e-5) -> Signal:
    """Batch norm without scale and shift."""
    samples, positions = signal.count(Role.SAMPLE), signal.count(Role.POSITION)
    uneven = 1.0 if signal.varied is None else signal.varied.clamp(min=1e-12).sqrt()
    x = (signal.value if signal.offset is None else signal.value - signal.offset) / uneven
    y = torch.zeros_like(x)
    pieces: list[tuple[Tensor, BatchStatistics]] = []
    whole = torch.arange(x.shape[1])
    for index, known in [(p.index, p.moments) for p in signal.parts] or [(whole, None)]:
        part = x[:, index]
        m = known or P.moments(part)
        statistics = BatchStatistics.draw(m, samples, positions, eps, chance=signal.dense or bool(signal.parts))
        around = part - part.mean(1, keepdim=True)
        y[:, index] = P.reshape_moments(around, statistics.forward(), "bn", call.key)[:, : index.numel()]
        pieces.append((index, statistics))
    excess = _projection_excess(y, samples, positions)

    def back(g: Tensor, scale: float) -> Tensor:
        out = torch.zeros_like(g)
        now = P.moments(g)
        more = excess(g, now)
        evened = g / uneven  # first, so that what the norm takes out is out exactly
        before = P.moments(evened)
        for index, statistics in pieces:
            left = statistics.backward(now).minus(more.times(statistics.inverse_variance)).times(before.q / now.q)
            whole_map = P.reshape_moments(evened, left, "bn-back", call.key, current=before)
            out[:, index] = whole_map[:, index]
        return out

    whole_moments = P.moments(signal.value - signal.value.mean(1, keepdim=True))
    profile = normalised(signal.profile, whole_moments.q, whole_moments.o, signal.means)
    return Signal(emit(y, (signal.x, back)), signal.shape, signal.dims, profile=profile)


def plain_layer_norm(signal: Signal, eps: float = 1e-5) -> Signal:
    """Layer norm over units, without scale and shift."""
    return Signal(_normalised(signal.x, eps, centre=True, over_positions=False), signal.shape, signal.dims)


def _projection_excess(y: Tensor, samples: int, positions: int) -> Callable[[Tensor, P.Moments], P.Moments]:
    """What the projection on the normalised input takes out because the cotangent depends on that input (ReLU masks).

    `BatchStatistics.backward` assumes independence; here the mean of g·z over the batch is taken from the particles.
    """
    z = P.moments(y)
    n = samples * positions

    def batch_mean(m: P.Moments) -> float:
        p, b = positions - 1, samples - 1
        return (m.q + p * m.p + b * m.s + b * p * m.o) / n

    def excess(g: Tensor, now: P.Moments) -> P.Moments:
        seen = batch_mean(P.moments(g * y)) - batch_mean(now.product(z))
        return z.times(max(seen, 0.0))

    return excess


def _frozen(call: Call, signal: Signal, weight: object, bias: object) -> Signal:
    mean, variance = call.arg(3, "running_mean"), call.arg(4, "running_var")
    eps = float(call.arg(7, "eps", 1e-5))
    index = P.permutation("frozen", call.key)
    if isinstance(mean, Tensor) and isinstance(variance, Tensor):
        units = index % mean.numel()
        y = (signal.x - mean.to(P.DTYPE)[units]) / (variance.to(P.DTYPE)[units] + eps).sqrt()
    else:
        y = signal.x / math.sqrt(1 + eps)
    return affine(call, signal.with_x(y), weight, bias)


def affine(call: Call, signal: Signal, weight: object, bias: object, over: Dims | None = None) -> Signal:
    """Scale and shift per unit; their gradients sum over the dims `over` (else over samples and positions)."""
    y = signal.x
    samples, positions = (count(signal.dims if over is None else over, r) for r in (Role.SAMPLE, Role.POSITION))
    heads = math.sqrt(1 if over is None else count(over, Role.UNIT))  # sets of units that share them
    for operand, multiply in ((weight, True), (bias, False)):
        if operand is None:
            continue
        if isinstance(operand, Weight):
            values = per_unit(operand, None, "affine", call.key).expand(P.R, P.S).clone()
            if operand.learned:
                values.requires_grad_()
                call.run.elementwise.append((operand, values))
            z = shared(values, samples, positions, 1, call.key, "affine", multiply)
            z = emit(z.detach(), (z, lambda g, scale: g * heads)) if heads > 1 else z
        else:
            z = call.signal(operand, signal.dims).x
        y = y * z if multiply else y + z
    return Signal(y, call.shape, signal.dims, dense=signal.dense, profile=signal.profile)


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
    last = len(signal.shape) - 1
    signal = as_units(signal, (last,), (*signal.dims[:last], dim(signal.shape[last], Role.UNIT)), call)
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
    v = x.reshape(2, 2 * x.shape[1]) if over_positions else x
    if centre:
        v = v - v.mean(1, keepdim=True)
    v = v / (v.square().mean(1, keepdim=True) + eps).sqrt()
    return v.reshape(P.R, x.shape[1])


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

    elements = units * positions
    left = (1 - 1 / elements) * ((elements - 2) / (elements - 3) if elements > 4 else 1.0)

    def back(g: Tensor, scale: float) -> Tensor:
        now = P.moments(g)
        return P.reshape_moments(g, ahead(now).times(left), "gn-back", call.key, current=now)

    y = P.reshape_moments(around, ahead(c), "gn", call.key, current=c)
    return Signal(emit(y, (signal.x, back)), call.shape, signal.dims)


def _without_group_mean(m: P.Moments, units: int, positions: int) -> P.Moments:
    """Moments after the mean over `units` exchangeable units and all positions of the sample is taken out."""
    same = (m.q + (positions - 1) * m.p) / positions / units
    other = (m.s + (positions - 1) * m.o) / positions / units
    return P.Moments(m.q - same, m.p - same, m.s - other, m.o - other)


RULES: dict[str, Transfer] = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "native_layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
}
