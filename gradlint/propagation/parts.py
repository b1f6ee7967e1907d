"""Tensors whose positions are of several kinds: a class token and the patches behind it.

Positions of one signal count as alike. Where a tensor is put together from different ones, each kind stays a signal of
its own, as long as the operators leave positions apart (or are attention); `transfer/in_parts` says how they act.
"""

from dataclasses import dataclass, replace
from typing import Any

from gradlint.propagation.dims import Dim, Dims, Factor, Role
from gradlint.propagation.signal import Signal

MOST = 4
"""Kinds of positions that are told apart."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A tensor as one signal per kind of position; `sizes` positions of each, one behind the other."""

    signals: tuple[Signal, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    dims: Dims
    """Of the whole tensor: its positions are one factor of `count` elements."""

    @property
    def count(self) -> int:
        """Number of positions."""
        return sum(self.sizes)

    @property
    def axis(self) -> int:
        """The dim that holds the positions."""
        return place(self.dims, self.count) or 0

    def with_signals(self, signals: list[Signal]) -> "Parts":
        """Other signals of the same shapes."""
        return replace(self, signals=tuple(signals))

    @staticmethod
    def of(signals: list[Signal], sizes: tuple[int, ...], shape: tuple[int, ...], dims: Dims) -> "Parts | None":
        """None where the positions cannot be found among the dims."""
        if place(dims, sum(sizes)) is None:
            return None
        return Parts(tuple(signals), sizes, shape, dims)


def place(dims: Dims, count: int) -> int | None:
    """The dim that holds a factor of `count` positions; None where there is none, or several."""
    found = [i for i, d in enumerate(dims) for f in d if f == Factor(count, Role.POSITION)]
    return found[0] if len(found) == 1 and count > 1 else None


def narrowed(dims: Dims, count: int, size: int) -> Dims:
    """The dims with `size` of `count` positions."""

    def within(d: Dim) -> Dim:
        changed = tuple(Factor(size, f.role) if f == Factor(count, Role.POSITION) else f for f in d)
        return tuple(f for f in changed if f.size != 1)

    return tuple(within(d) for d in dims)


def narrowed_shape(dims: Dims, shape: tuple[int, ...], count: int, size: int) -> tuple[int, ...]:
    """The extents with `size` of `count` positions."""
    axis = place(dims, count)
    return tuple(n // count * size if i == axis else n for i, n in enumerate(shape))


def signals_of(value: Any) -> tuple[Signal, ...]:
    """The signals that a value consists of."""
    return value.signals if isinstance(value, Parts) else (value,) if isinstance(value, Signal) else ()
