"""The abstract value that travels through the graph, and the one autograd primitive that all transfer rules share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role, count
from gradlint.propagation.kinship import Kinship

Back = Callable[[Tensor, float], Tensor]
"""Cotangent `[R, U]` of a result, divided by `scale`, and that scale → cotangent of one operand (also divided)."""


_GONE = torch.empty(P.R, 0, dtype=P.DTYPE)


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
    units: int = 0
    """Units that it stands for, where it is units that were joined; components stand in their order."""


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
    profile: tuple[Tensor, ...] | None = None
    """Where on the map the energy lies (see `profiles`); None: evenly."""
    means: Any = None
    """How the units' means lie on the map (`profiles.UnitMeans`), straight behind a convolution."""
    varied: Tensor | None = None
    """`[U]` variance of each unit relative to the mean, where rows of a weight differ in energy."""
    kinship: Kinship | None = None
    """How alike the units of a map are; None where it is not followed."""
    beyond: float = 0.0
    """Tr Σ²/(Tr Σ)² of what a contraction has read, beyond that of independent features (see `kinship`)."""
    rows: Any = None
    """How the rows of a sum over tokens resemble each other (`token_sums.RowShare`)."""
    offset: Tensor | None = None
    """`[U]` mean of each unit over samples and positions, where a contraction has given it (row sums and bias)."""
    group: int = 1
    """So many particles in a row stand for units that depend on each other (a softmax over few, their mean)."""

    def count(self, role: Role) -> int:
        """Number of elements of one role."""
        return count(self.dims, role)

    @property
    def value(self) -> Tensor:
        """The particles, outside autograd."""
        return self.x.detach()

    def without_particles(self) -> "Signal":
        """What remains to be known of it once everybody has read it."""
        return Signal(_GONE, self.shape, self.dims, free=self.free)

    def with_x(self, x: Tensor, **changes: Any) -> "Signal":
        """The same tensor with other particles (the known means of the units hold for the old ones only)."""
        if x is not self.x:
            changes.setdefault("offset", None)
        return replace(self, x=x, **changes)


class _Emit(torch.autograd.Function):
    """Give `y` forward and let closures say what each operand receives back."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, backs: tuple[Back, ...], *xs: Tensor) -> Tensor:
        ctx.backs = backs
        ctx.needs = tuple(x.requires_grad for x in xs)
        ctx.shapes = tuple(x.shape for x in xs)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0]
        scale = P.scale_of(g)
        if not bool(g.any()):
            asked = zip(ctx.needs, ctx.shapes, strict=True)
            return (None, None, *(g.new_zeros(shape) if need else None for need, shape in asked))
        unit = g / scale
        rules = zip(ctx.backs, ctx.needs, ctx.shapes, strict=True)
        return (
            None,
            None,
            *(_as_wide(back(unit, scale), shape) * scale if need else None for back, need, shape in rules),
        )


def _as_wide(g: Tensor, shape: torch.Size) -> Tensor:
    """Cotangents of an operand with one number per replica, or with one per unit, whichever it has."""
    return g if g.shape == shape else (g[:, :1] if shape[1] == 1 else g.expand(shape))


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
        return P.reshape_cotangent(g, change(now), *key, current=now)

    return back


def modes(m: P.Moments, *key: object) -> Tensor:
    """`[R, 1]` one number per replica whose mean square is exactly m.q, along the eigen-directions of `m`."""
    flips = (torch.randint(0, 2, (P.R,), generator=P.generator("modes", *key)) * 2 - 1).to(P.DTYPE)
    return P.along_directions(m, flips[:, None])


def swap_units_and_positions(signal: Signal, *key: object) -> Signal:
    """Read positions as units and units as positions (token mixing, channel-last convolutions).

    Pairs of another unit at the same position share only the unit mean; the mean over the new units differs from one
    old unit to the next.
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
