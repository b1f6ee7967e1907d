"""Linear maps over positions: pooling, padding, cropping, resampling, selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role, dim
from gradlint.propagation.signal import Signal, emit, mapped
from gradlint.propagation.weights import spread


@dataclass(frozen=True, slots=True)
class PositionMap:
    """A linear map A over positions, `[n_out, n_in]`, described by the four numbers that second moments need."""

    energy: float  # ‖A‖²_F
    rows: float  # ‖A·1‖²
    columns: float  # ‖Aᵀ·1‖²
    total: float  # 1ᵀA1
    n_in: int
    n_out: int
    sums: Tensor | None = None  # A·1, where it is not the same at all positions
    together: float | None = None  # tr AᵀCA for cotangents whose neighbours are alike (see `neighbours`)

    @staticmethod
    def of(matrices: list[Tensor]) -> "PositionMap":
        """The Kronecker product of one matrix per axis."""
        energy = rows = columns = total = 1.0
        n_in = n_out = 1
        sums = torch.ones(1, dtype=P.DTYPE)
        for a in matrices:
            sums = torch.outer(sums, a.sum(1)).flatten()
            energy *= float(a.square().sum())
            rows *= float(a.sum(1).square().sum())
            columns *= float(a.sum(0).square().sum())
            total *= float(a.sum())
            n_out *= a.shape[0]
            n_in *= a.shape[1]
        uneven = rows * n_out > total**2 * (1 + 1e-9)
        return PositionMap(energy, rows, columns, total, n_in, n_out, sums if uneven else None)

    @staticmethod
    def selection(kept: int, given: int, times: int = 1) -> "PositionMap":
        """`kept` of `given` positions of one axis, at each of `times` positions of the others; no matrix is made."""
        ones = float(kept * times)
        return PositionMap(ones, ones, ones, ones, given * times, kept * times)

    @property
    def transposed(self) -> "PositionMap":
        """Aᵀ."""
        energy = self.energy if self.together is None else self.together
        return PositionMap(energy, self.columns, self.rows, self.total, self.n_out, self.n_in)

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
    weight: float | Tensor = a.total / a.n_out
    if a.sums is not None:  # windows reach into the padding: the common mean is smaller at the border
        weight = spread(a.sums, (a.n_out,), (dim(a.n_out, Role.POSITION),), "reach", *key)

    def ahead(v: Tensor) -> Tensor:
        if v.shape[1] == 1:
            return P.reshape_moments(v, a(P.moments(v)), "map", *key)
        around = v - v.mean(1, keepdim=True)
        out = P.reshape_moments(around, a(P.moments(around)), "map", *key)
        return out + _row_means(mean) * weight if a.n_out == 1 else out + mean * weight

    back = a.transposed
    y = emit(ahead(x), (signal.x, mapped(back, "map-back", *key)))
    return Signal(y, shape, dims, free=False)


SWAPPED = [1, 0, 3, 2]
"""Replicas with their two positions exchanged."""


def some_positions(
    signal: Signal, a: PositionMap, chosen: Sequence[int] | int, shape: tuple[int, ...], dims: Dims, *key: object
) -> Signal:
    """Part of the positions, `a` being their selection.

    Another part is seen at the other replica position: `x[:, 1:] - x[:, :-1]` takes the difference of two positions.
    """
    first = chosen if isinstance(chosen, int) else chosen[0]
    back = mapped(a.transposed, "map-back", *key)
    if a.n_out == 1:
        k = first % 2
        return Signal(emit(signal.value[[k, k, 2 + k, 2 + k]], (signal.x, back)), shape, dims)
    if first == 0:
        return Signal(emit(signal.value, (signal.x, back)), shape, dims)
    swapped = (signal.x, lambda g, scale: back(g, scale)[SWAPPED])
    return Signal(emit(signal.value[SWAPPED], swapped), shape, dims)


def _row_means(mean: Tensor) -> Tensor:
    """`[R, 1]` with the two positions of each sample averaged."""
    pair = mean.view(2, 2, 1).mean(1, keepdim=True).expand(2, 2, 1)
    return pair.reshape(P.R, 1)
