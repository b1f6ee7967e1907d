"""Batch norm: what is left of activations and cotangents once a unit's statistics over the batch are taken out.

The exact finite-batch moments: the centred covariance of a unit over samples and positions has three eigenvalues, each
drawn as a scaled chi-square (design `flow.md`, correction 1; large-batch limit: Yang et al. 2019).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Transfer
from gradlint.propagation.dims import Role, image_dims
from gradlint.propagation.profiles import normalised
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.affine import affine
from gradlint.propagation.transfer.contraction import as_units

DRAWS = 4096


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
    wider = 1 / (1 - min(2 * signal.beyond, 0.5))

    def back(g: Tensor, scale: float) -> Tensor:
        out = torch.zeros_like(g)
        now = P.moments(g)
        more = excess(g, now)
        evened = g / uneven  # first, so that what the norm takes out is out exactly
        before = P.moments(evened)
        for index, statistics in pieces:
            left = (
                statistics.backward(now).minus(more.times(statistics.inverse_variance)).times(wider * before.q / now.q)
            )
            whole_map = P.reshape_cotangent(evened, left, "bn-back", call.key, current=before)
            out[:, index] = whole_map[:, index]
        return out

    whole_moments = P.moments(signal.value - signal.value.mean(1, keepdim=True))
    profile = normalised(signal.profile, whole_moments.q, whole_moments.o, signal.means)
    return Signal(emit(y, (signal.x, back)), signal.shape, signal.dims, profile=profile, kinship=signal.kinship)


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


RULES: dict[str, Transfer] = {"batch_norm": batch_norm}
