"""Depthwise convolutions: each output unit reads one input unit, so that what a unit does meets itself again.

Few taps make variance and gain differ from unit to unit, which the norm behind divides out again: both are kept per
particle. And a cotangent comes back through the very kernel whose output it depends on.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.dims import Dims
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.acting import learn_weight
from gradlint.propagation.transfer.contraction import Taps, uneven
from gradlint.propagation.weights import Rows, Weight


def depthwise(call: Call, signal: Signal, weight: Weight, matrix: Rows, dims: Dims, taps: Taps) -> Signal:
    """Each output unit reads one input unit: units keep their identity.

    What positions share passes with the square of the row sum, what they do not with the row energy. Few taps make both
    differ from unit to unit, which the norm behind divides out again: so they are kept per particle.
    """
    x = signal.value
    mean = x.mean(1, keepdim=True)
    spread = P.moments(x - mean)
    energy, coherent = matrix.energies, matrix.sums.square()
    lone = (taps.valid - taps.both) * float(mean.square().mean())  # of the mean, where some taps meet padding
    passed = _lone_eigenvalues(spread, energy, coherent, taps.valid, taps.both)
    passed[[0, 2]] += 2 * lone * energy
    from_mean = mean * matrix.sums * math.sqrt(taps.both)
    tap = _one_tap(weight, matrix, call.key)
    signs = torch.where(tap < 0, -1.0, 1.0).to(P.DTYPE)  # several kernels that read one tensor do not answer as one
    read = _through_tap(spread, tap, matrix.sums, taps)
    rest = (passed - read.square() * torch.tensor(spread.eigenvalues(), dtype=P.DTYPE)[:, None]).clamp(min=0)
    y = from_mean + P.HADAMARD.T @ (read * (P.HADAMARD @ (x - mean)) + rest.sqrt() * (P.HADAMARD @ P.normal(call.key)))
    alone = energy * (taps.valid * max(spread.q - spread.p, 0.0) + lone)
    varied = uneven(coherent * taps.both * max(spread.p - spread.o, 0.0) + alone)
    around = _Echo(x - mean, y - from_mean, passed.sum(0) / P.R, energy, _Kernels.of(weight, matrix), taps.gain)
    repeats = call.shape[1] / signal.shape[1]
    seen = P.moments(x)

    def back(g: Tensor, scale: float) -> Tensor:
        learn_weight(call, weight, g, x, seen, dims, scale * math.sqrt(taps.valid))
        m = P.moments(g)
        now = torch.tensor(m.eigenvalues(), dtype=P.DTYPE)[:, None].clamp(min=1e-300)
        want = _lone_eigenvalues(m, energy, coherent, taps.gain, taps.gain_both)
        echo, more = around.of(g, m, call.key)
        through = P.HADAMARD.T @ (((want + more).clamp(min=0) / now).clamp(max=1e12).sqrt() * (P.HADAMARD @ g))
        return math.sqrt(repeats) * (through * signs + echo)

    result = emit(y, (signal.x, back))
    return Signal(result, call.shape, dims, varied=varied, offset=from_mean.mean(0))


@dataclass(frozen=True, slots=True)
class _Echo:
    """What comes back because the cotangent follows its unit's own output: g = b·y + … gives b·WᵀW x.

    A dense contraction spreads it over other units with random signs; a depthwise one returns it to the element that
    caused it and to its neighbours. It counts where b is alike over a kernel's taps, as behind a global pool.
    """

    x: Tensor  # [R, S] centred input
    y: Tensor  # [R, S] centred output
    variance: Tensor  # [S] of the output, per unit
    energy: Tensor  # [S] sum of squares of each kernel
    kernels: "_Kernels"
    gain: float  # share of the taps that meet the output

    def of(self, g: Tensor, m: P.Moments, *key: object) -> tuple[Tensor, Tensor]:
        """`[R, S]` the echo at the element itself, and the `[R, S]` change in the eigenvalues of all the rest."""
        product, output = P.moments(g * self.y), P.moments(self.y)
        own = max(product.p - m.p * output.p, 0.0)
        other = min(max(product.o - m.o * output.o, -own), own)
        slopes = P.Moments(own, own, other, other)
        size = self.energy * self.gain / self.variance.clamp(min=1e-300)
        size = size * (1 - self.kernels.peak).sqrt()  # the rest of it is what the one tap holds (`_one_tap`)
        echo = P.cotangent(slopes, "echo", *key) * size * self.x
        x = P.moments(self.x)
        met = torch.tensor(slopes.product(x).eigenvalues(), dtype=P.DTYPE)[:, None]
        neighbours = self.kernels.overlaps * (self.gain / self.variance.clamp(min=1e-300)) ** 2
        return echo, met * (neighbours - size.square())


@dataclass(frozen=True, slots=True)
class _Kernels:
    """How each unit's kernel meets itself."""

    overlaps: Tensor  # [S] Σ over shifts δ ≠ 0 of (Σ_τ w_τ w_τ+δ)²
    peak: Tensor  # [S] Σ w⁴ / (Σ w²)²: one over the number of taps that count

    @staticmethod
    def of(weight: Weight, matrix: Rows) -> "_Kernels":
        """From real kernels, or from the law of their elements."""
        if weight.values is None:
            square = float(weight.sample.square().mean())
            tail = float(weight.sample.pow(4).mean()) / max(square**2, 1e-300) / matrix.fan_in
            overlaps = matrix.energies.square() * (1 - 1 / matrix.fan_in)
            return _Kernels(overlaps, torch.full_like(overlaps, min(tail, 1.0)))
        kernels = weight.values.detach().to(P.DTYPE)
        sizes = [2 * n - 1 for n in kernels.shape[2:]]
        axes = list(range(2, kernels.dim()))
        spectrum = torch.fft.rfftn(kernels, sizes, axes).abs().square()
        shifts = torch.fft.irfftn(spectrum, sizes, axes).flatten(1)
        energy = shifts[:, 0].square()
        peak = kernels.flatten(1).pow(4).sum(1) / energy.clamp(min=1e-300)
        return _Kernels((shifts.square().sum(1) - energy).clamp(min=0)[matrix.index], peak.clamp(max=1)[matrix.index])


def _one_tap(weight: Weight, matrix: Rows, *key: object) -> Tensor:
    """`[S]` of each unit's kernel one weight, drawn by its share of the energy: what a cotangent comes back through."""
    if weight.values is None:
        pool = weight.sample.reshape(-1)
        chance = pool.square()
        index = torch.multinomial(chance, P.distinct(), replacement=True, generator=P.generator("tap", *key))
        return pool[index].repeat(P.BLOCKS)
    kernels = weight.values.detach().to(P.DTYPE).reshape(weight.shape[0], -1)[matrix.index[: P.distinct()]]
    chance = kernels.square() + 1e-300
    index = torch.multinomial(chance, 1, generator=P.generator("tap", *key))
    return kernels.gather(1, index)[:, 0].repeat(P.BLOCKS)


def _through_tap(m: P.Moments, tap: Tensor, sums: Tensor, taps: Taps) -> Tensor:
    """`[R, S]` regression of Σ_τ w_τ x_τ on what one tap reads, per eigen-direction; others share p with it."""
    shared = (sums - tap) * math.sqrt(taps.both)
    cross = torch.tensor((2 * (m.p + m.o), 2 * (m.p - m.o), 0.0, 0.0), dtype=P.DTYPE)[:, None] * shared
    own = torch.tensor(m.eigenvalues(), dtype=P.DTYPE)[:, None]
    return torch.where(own > 1e-12 * own.max(), tap + cross / own.clamp(min=1e-300), torch.zeros_like(cross))


def _lone_eigenvalues(m: P.Moments, energy: Tensor, coherent: Tensor, single: float, both: float) -> Tensor:
    """`[R, S]` eigenvalues over replicas of Σ_τ w_τ x_τ per unit, from moments of x, Σw² and (Σw)²."""
    q = single * energy * m.q + both * (coherent - energy) * m.p
    s = single * energy * m.s + both * (coherent - energy) * m.o
    p, o = both * coherent * m.p, both * coherent * m.o
    return torch.stack([q + p + s + o, q + p - s - o, q - p + s - o, q - p - s + o])
