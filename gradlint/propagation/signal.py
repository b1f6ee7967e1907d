"""The abstract value that travels through the graph, and the one autograd primitive that all transfer rules share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role, count

Back = Callable[[Tensor, float], Tensor]
"""Cotangent `[R, U]` of a result, divided by `scale`, and that scale → cotangent of one operand (also divided)."""


@dataclass(frozen=True, slots=True)
class Prob:
    """Statistics of softmax rows over keys (see `attention`): Σp², Σp³ and Σp·p′ for other queries and samples."""

    keys: int
    s2: float
    s3: float
    overlap: P.Moments
    """q = s2; p, s, o = Σ p·p′ with another query, another sample, both."""


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a mixture (a concatenation): the particles that stand for it."""

    index: Tensor
    moments: P.Moments | None
    """Uncentred moments from all particles of the component; None once an elementwise map has changed them."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A tensor in the infinite-width view: particles `[R, U]` plus the roles of its dims."""

    x: Tensor
    shape: tuple[int, ...]
    dims: Dims
    free: bool = False
    """All elements independent and alike: roles may be read as the consumer needs them."""
    dense: bool = False
    """Fresh Gaussians out of a dense contraction, not yet touched by a nonlinearity."""
    prob: Prob | None = None
    mask: Any = None
    """Valid keys per query position of masked scores (a numpy array), else None."""
    parts: tuple[Part, ...] = ()
    before: "Signal | None" = None
    """The pre-activation, where this is an elementwise map of one signal (max-pooling wants it)."""
    varied: Tensor | None = None
    """`[U]` variance of each unit relative to the mean, where units differ (after depthwise convolutions)."""

    def count(self, role: Role) -> int:
        """Number of elements of one role."""
        return count(self.dims, role)

    @property
    def value(self) -> Tensor:
        """The particles, outside autograd."""
        return self.x.detach()

    def with_x(self, x: Tensor, **changes: Any) -> "Signal":
        """The same tensor with other particles."""
        return replace(self, x=x, **changes)


class _Emit(torch.autograd.Function):
    """Give `y` forward and let closures say what each operand receives back."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, backs: tuple[Back, ...], *xs: Tensor) -> Tensor:
        ctx.backs = backs
        ctx.needs = tuple(x.requires_grad for x in xs)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0]
        scale = P.scale_of(g)
        if not bool(g.any()):
            return (None, None, *(torch.zeros_like(g) if need else None for need in ctx.needs))
        unit = g / scale
        return (
            None,
            None,
            *(back(unit, scale) * scale if need else None for back, need in zip(ctx.backs, ctx.needs, strict=True)),
        )


def emit(y: Tensor, *pairs: tuple[Tensor, Back]) -> Tensor:
    """`y`, computed outside autograd, as the result of operands `pairs[i][0]` with backward rules `pairs[i][1]`."""
    result: Tensor = _Emit.apply(y, tuple(back for _, back in pairs), *(x for x, _ in pairs))  # type: ignore[no-untyped-call]
    return result


def fresh(change: Callable[[P.Moments], P.Moments], *key: object) -> Back:
    """A backward rule whose operand receives fresh Gaussian particles with changed moments."""
    return lambda g, scale: P.cotangent(change(P.moments(g)), *key)


def mapped(change: Callable[[P.Moments], P.Moments], *key: object) -> Back:
    """A backward rule that keeps each unit's identity and only changes how replicas share."""

    def back(g: Tensor, scale: float) -> Tensor:
        now = P.moments(g)
        return P.reshape_moments(g, change(now), *key, current=now)

    return back


def modes(m: P.Moments, *key: object) -> Tensor:
    """`[R, 1]` one number per replica whose mean square is exactly m.q, along the eigen-directions of `m`."""
    flips = (torch.randint(0, 2, (P.R,), generator=P.generator("modes", *key)) * 2 - 1).to(P.DTYPE)
    diagonal = torch.tensor([max(v, 0.0) ** 0.5 for v in m.eigenvalues()], dtype=P.DTYPE)
    return (P.HADAMARD.T @ (diagonal * flips))[:, None]


def swap_units_and_positions(signal: Signal, *key: object) -> Signal:
    """Read positions as units and units as positions (token mixing, channel-last convolutions).

    Pairs of another unit at the same position share only the unit mean; the mean over the new units differs from one old
    unit to the next.
    """

    def swapped(x: Tensor, *, cotangent: bool) -> Tensor:
        m = P.moments(x)
        mean = x.mean(1)
        cross = P.symmetrise(torch.outer(mean, mean))
        common = P.Moments(m.p, cross.q, m.o, cross.s)
        rest = P.Moments(m.q - m.p, 0.0, m.s - m.o, 0.0)
        if cotangent:
            return P.columns(common) + P.cotangent(rest, "swap", *key)
        return modes(common, "swap", *key) + P.gaussian(rest, "swap", *key)

    exchange = {Role.UNIT: Role.POSITION, Role.POSITION: Role.UNIT}
    dims = tuple(tuple(type(f)(f.size, exchange.get(f.role, f.role)) for f in d) for d in signal.dims)
    y = swapped(signal.value, cotangent=False)
    x = emit(y, (signal.x, lambda g, scale: swapped(g, cotangent=True)))
    return Signal(x, signal.shape, dims)


SIGNIFICANT = 4.0
"""Sources of a cotangent count as independent while their correlation stays within this many standard errors of zero."""


class _Fork(torch.autograd.Function):
    """One tensor read by several operators: independent cotangents add as covariances, without sampling noise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, readers: int, key: str) -> tuple[Tensor, ...]:
        ctx.key = key
        ctx.set_materialize_grads(False)
        return tuple(x.clone() for _ in range(readers))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        present = [g for g in grads if g is not None and bool(g.any())]
        if not present:
            return None, None, None
        total = torch.stack(present).sum(0)
        if len(present) == 1 or total.shape[1] == 1:
            return total, None, None
        scale = max(P.scale_of(g) for g in present)
        parts = [P.moments(g / scale) for g in present]
        now = P.moments(total / scale)
        energy = sum(m.q for m in parts)
        cross = abs(now.q - energy) / max(energy, 1e-300)
        if cross > SIGNIFICANT / P.distinct() ** 0.5:
            return total, None, None  # correlated: the particles know best
        want = parts[0]
        for m in parts[1:]:
            want = want.plus(m)
        return P.reshape_moments(total / scale, want, "fork", ctx.key, current=now) * scale, None, None


def fork(signal: Signal, readers: int, key: str) -> list[Signal]:
    """One copy of the signal for each of its readers."""
    copies: tuple[Tensor, ...] = _Fork.apply(signal.x, readers, key)  # type: ignore[no-untyped-call]
    return [signal.with_x(x) for x in copies]


@dataclass(frozen=True, slots=True)
class PositionMap:
    """A linear map A over positions, `[n_out, n_in]`, described by the four numbers that second moments need."""

    energy: float  # ‖A‖²_F
    rows: float  # ‖A·1‖²
    columns: float  # ‖Aᵀ·1‖²
    total: float  # 1ᵀA1
    n_in: int
    n_out: int

    @staticmethod
    def of(matrices: list[Tensor]) -> "PositionMap":
        """The Kronecker product of one matrix per axis."""
        energy = rows = columns = total = 1.0
        n_in = n_out = 1
        for a in matrices:
            energy *= float(a.square().sum())
            rows *= float(a.sum(1).square().sum())
            columns *= float(a.sum(0).square().sum())
            total *= float(a.sum())
            n_out *= a.shape[0]
            n_in *= a.shape[1]
        return PositionMap(energy, rows, columns, total, n_in, n_out)

    @property
    def transposed(self) -> "PositionMap":
        """Aᵀ."""
        return PositionMap(self.energy, self.columns, self.rows, self.total, self.n_out, self.n_in)

    def _pair(self, same: float, other: float) -> tuple[float, float]:
        """Moments at the same and at another output position, from those at the same and another input position."""
        free, shared = same - other, other
        at = self.energy / self.n_out * free + self.rows / self.n_out * shared
        if self.n_out == 1:
            return at, at
        pairs = self.n_out * (self.n_out - 1)
        across = (self.columns - self.energy) / pairs * free + (self.total**2 - self.rows) / pairs * shared
        return at, across

    def __call__(self, m: P.Moments) -> P.Moments:
        """Moments (without the unit mean) after the map."""
        q, p = self._pair(m.q, m.p)
        s, o = self._pair(m.s, m.o)
        return P.Moments(q, p, s, o)


def map_positions(signal: Signal, a: PositionMap, shape: tuple[int, ...], dims: Dims, *key: object) -> Signal:
    """Apply a linear map over positions: pooling, padding, cropping, upsampling, means, selection of one position."""
    x = signal.value
    mean = x.mean(1, keepdim=True)
    weight = a.total / a.n_out

    def ahead(v: Tensor) -> Tensor:
        if v.shape[1] == 1:
            return P.reshape_moments(v, a(P.moments(v)), "map", *key)
        around = v - v.mean(1, keepdim=True)
        out = P.reshape_moments(around, a(P.moments(around)), "map", *key)
        return out + _row_means(mean) * weight if a.n_out == 1 else out + mean * weight

    back = a.transposed
    y = emit(ahead(x), (signal.x, mapped(back, "map-back", *key)))
    return Signal(y, shape, dims, free=False)


def _row_means(mean: Tensor) -> Tensor:
    """`[R, 1]` with the two positions of each sample averaged."""
    pair = mean.view(2, 2, 1).mean(1, keepdim=True).expand(2, 2, 1)
    return pair.reshape(P.R, 1)


class _Shared(torch.autograd.Function):
    """An operand that is the same at `positions` positions and in `samples` samples of the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, samples: int, positions: int, units: int, key: tuple[object, ...]) -> Tensor:
        ctx.sizes = (samples, positions, units, x.shape[1])
        ctx.key = key
        return x.expand(P.R, P.S).clone() if units > 1 and x.shape[1] == 1 else x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        samples, positions, units, width = ctx.sizes
        g = grads[0]
        scale = P.scale_of(g)
        g = g / scale
        if units > 1:
            g = _sum_units(g, units, width, ctx.key)
        if samples * positions > 1:
            g = _sum_replicas(g, samples, positions, ctx.key)
        return g * scale, None, None, None, None


def _sum_units(g: Tensor, units: int, width: int, key: tuple[object, ...]) -> Tensor:
    """Sum over units: the unit mean adds up coherently, the rest as a random walk."""
    mean = g.mean(1, keepdim=True)
    if width == 1:
        return units * mean + modes(P.centred(g).times(float(units)), "units", *key)
    return P.cotangent(P.moments(g).times(float(units)), "units", *key)


def _sum_replicas(g: Tensor, samples: int, positions: int, key: tuple[object, ...]) -> Tensor:
    """Sum over samples and/or positions: coherent part times n, the rest times √n; rows become alike."""
    m = P.moments(g)
    q, p, s, o = m.q, m.p, m.s, m.o
    n = positions
    if n > 1:
        q, s = n * q + n * (n - 1) * p, n * s + n * (n - 1) * o
        p, o = q, s
    if samples > 1:
        q = samples * q + samples * (samples - 1) * s
        p = samples * p + samples * (samples - 1) * o
        s, o = q, p
    return P.reshape_moments(g, P.Moments(q, p, s, o), "shared", *key, current=m)


def shared(x: Tensor, samples: int, positions: int, units: int, *key: object) -> Tensor:
    """The operand `x` broadcast over samples, positions or units; backward sums over them."""
    if samples * positions * units == 1:
        return x
    result: Tensor = _Shared.apply(x, samples, positions, units, key)  # type: ignore[no-untyped-call]
    return result
