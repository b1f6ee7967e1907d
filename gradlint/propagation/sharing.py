"""One tensor at several places: read by several operators, or broadcast over samples, positions and units."""

from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.signal import Signal, emit, modes

SIGNIFICANT = 4.0
"""Sources of a cotangent count as independent while their correlation is within so many standard errors of zero."""


class _Fork(torch.autograd.Function):
    """One tensor read by several operators: independent cotangents add as covariances, without sampling noise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, readers: int, key: str, alike: bool) -> tuple[Tensor, ...]:
        ctx.key, ctx.alike = key, alike
        ctx.set_materialize_grads(False)
        return tuple(x.view_as(x) for _ in range(readers))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        present = [g for g in grads if g is not None and bool(g.any())]
        if not present:
            return None, None, None, None
        total = torch.stack(present).sum(0)
        if len(present) == 1 or total.shape[1] == 1 or ctx.alike:
            return total, None, None, None
        scale = max(P.scale_of(g) for g in present)
        parts = [P.moments(g / scale) for g in present]
        now = P.moments(total / scale)
        energy = sum(m.q for m in parts)
        cross = abs(now.q - energy) / max(energy, 1e-300)
        if cross > SIGNIFICANT / P.distinct() ** 0.5:
            return total, None, None, None  # correlated: the particles know best
        want = parts[0]
        for m in parts[1:]:
            want = want.plus(m)
        return P.reshape_cotangent(total / scale, want, "fork", ctx.key, current=now) * scale, None, None, None


def settled(y: Tensor, a: Tensor, b: Tensor, *key: object) -> Tensor:
    """A sum `y` of two tensors that share no randomness: covariances add up, without sampling noise.

    Where the particles show a correlation beyond chance, they know best and nothing is changed.
    """
    if not y.is_floating_point() or not a.shape == b.shape == (P.R, P.S):
        return y
    parts, now = (P.centred(a), P.centred(b)), P.centred(y.detach())
    smaller, energy = min(m.q for m in parts), parts[0].q + parts[1].q
    if smaller <= 1e-9 * energy:
        return y
    cross = abs(now.q - energy) / (2 * (parts[0].q * parts[1].q) ** 0.5)
    if cross > SIGNIFICANT / P.distinct() ** 0.5:
        return y
    mean = y.detach().mean(1, keepdim=True)
    exact = P.reshape_moments(y.detach() - mean, parts[0].plus(parts[1]), "sum", *key, current=now) + mean
    return emit(exact, (y, lambda g, scale: g))


def fork(signal: Signal, readers: int, key: str, *, alike: bool = False) -> list[Signal]:
    """One copy of the signal for each of its readers, whose cotangents may be `alike` (a weight acts in several)."""
    copies: tuple[Tensor, ...] = _Fork.apply(signal.x, readers, key, alike)  # type: ignore[no-untyped-call]
    return [signal.with_x(x) for x in copies]


class _Shared(torch.autograd.Function):
    """An operand that is the same at `positions` positions and in `samples` samples of the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, samples: int, positions: int, units: int, key: tuple[object, ...]) -> Tensor:
        ctx.sizes = (samples, positions, units, x.shape[1])
        ctx.key = key
        return x.expand(P.R, P.S) if units > 1 and x.shape[1] == 1 else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        samples, positions, units, width = ctx.sizes
        g = grads[0]
        scale = P.scale_of(g)
        g = g / scale
        if units > 1:
            g = _sum_units(g, units, width, ctx.key)
        if samples * positions > 1:
            g = sum_replicas(g, samples, positions, ctx.key)
        return g * scale, None, None, None, None


def _sum_units(g: Tensor, units: int, width: int, key: tuple[object, ...]) -> Tensor:
    """Sum over units: the unit mean adds up coherently, the rest as a random walk."""
    mean = g.mean(1, keepdim=True)
    if width == 1:
        return units * mean + modes(P.centred(g).times(float(units)), "units", *key)
    middle = P.block_means(g)
    if P.moments(middle).q * P.distinct() < SIGNIFICANT**2 * P.moments(g).q:  # a mean of this size comes by chance
        return P.cotangent(P.moments(g).times(float(units)), "units", *key)
    return units * middle + P.cotangent(P.centred_blocks(g).times(float(units)), "units", *key)


def sum_replicas(g: Tensor, samples: int, positions: int, key: tuple[object, ...]) -> Tensor:
    """Sum over samples and/or positions: coherent part times n, the rest times √n; rows become alike."""
    m = P.moments(g)
    if positions > 1 and samples > 1:
        q = samples * positions * P.batch_eigenvalues(m, samples, positions)[0]
        total = P.Moments(q, q, q, q)
    elif positions > 1:
        # One sample's own sum, and how two of them share: eigenvalues over the two samples that replicas stand for.
        alike, apart = _pair_eigenvalues(m.q + (positions - 1) * m.p, m.s + (positions - 1) * m.o, m.q, positions)
        own, other = positions * (alike + apart) / 2, positions * (alike - apart) / 2
        total = P.Moments(own, own, other, other)
    else:
        alike, apart = _pair_eigenvalues(m.q + (samples - 1) * m.s, m.p + (samples - 1) * m.o, m.q, samples)
        own, other = samples * (alike + apart) / 2, samples * (alike - apart) / 2
        total = P.Moments(own, other, own, other)
    return P.reshape_cotangent(g, total, "shared", *key, current=m)


def _pair_eigenvalues(same: float, other: float, q: float, n: int) -> tuple[float, float]:
    """Of a covariance between two, which has none below zero (`particles.batch_eigenvalues`)."""
    return P.not_by_chance(same + other, q, n), P.not_by_chance(same - other, q, n)


def shared(x: Tensor, samples: int, positions: int, units: int, *key: object) -> Tensor:
    """The operand `x` broadcast over samples, positions or units; backward sums over them."""
    if samples * positions * units == 1:
        return x
    result: Tensor = _Shared.apply(x, samples, positions, units, key)  # type: ignore[no-untyped-call]
    return result


def widened(operands: list[Any], *key: object) -> list[Any]:
    """Operands of one number per replica beside others that differ from particle to particle (a mask over positions).

    One number stands for one element: it gets what one of the particles gets, not their sum.
    """
    if not any(isinstance(v, Tensor) and v.shape == (P.R, P.S) for v in operands):
        return operands
    return [
        emit(v.detach().expand(P.R, P.S), (v, lambda g, scale: modes(P.moments(g), "widened", *key)))
        if isinstance(v, Tensor) and v.shape == (P.R, 1) and v.requires_grad
        else v
        for v in operands
    ]
