"""Parameters as transfer rules need them: row sums, row energies and single elements, from values or from a law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter, a buffer, or something computed from them alone.

    `values` is the real tensor, or None where only a `sample` of the elements' law is known (`[n]` float64).
    """

    name: str
    shape: tuple[int, ...]
    values: Tensor | None
    sample: Tensor
    learned: bool = True
    origin: str = ""
    """What it is, or how it was computed: two weights of one origin hold the same elements."""
    turned: bool = False
    """Whether it is the transpose of what its origin names."""
    portion: Tensor | None = None
    """Where it is computed from laws and too large to be drawn: some of its rows, drawn."""

    @property
    def computed(self) -> Tensor | None:
        """What its gradient goes back through to the parameters that it was computed from; None for a parameter."""
        values = self.portion if self.values is None else self.values
        return None if values is None or values.grad_fn is None else values

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def rms(self) -> float:
        """Root mean square of the elements."""
        return P.rms(self.sample if self.values is None else self.values.detach())

    def reshaped(self, values: Tensor | None, shape: Sequence[int], how: str = "reshaped") -> "Weight":
        """The same elements in another order, or some of them."""
        origin = f"{how} {self.origin}{' turned' if self.turned else ''}" if self.origin else ""
        return Weight(self.name, tuple(shape), values, self.sample, self.learned, origin, portion=self.portion)


@dataclass(frozen=True, slots=True)
class Rows:
    """A contraction's matrix `[out, fan_in]`, seen by the particles that stand for its output units."""

    sums: Tensor  # [S] sum of each row
    energies: Tensor  # [S] sum of squares of each row
    total: float  # ‖W‖²_F
    mean: float
    deviation: float
    fan_in: int
    index: Tensor  # [S] output unit that each particle stands for

    @property
    def has_mean(self) -> bool:
        """Whether the elements' mean is more than chance (then unit means add up coherently)."""
        noise = self.deviation / math.sqrt(max(1, self.fan_in * max(1, int(self.index.max()) + 1)))
        return abs(self.mean) > max(6 * noise, 1e-12)


_SHUFFLED = 1 << 15
"""Units of which some are drawn by shuffling all."""


def unit_index(out: int, *key: object) -> Tensor:
    """`[S]` which of `out` units each particle stands for: every unit as often as any other, the same in all blocks.

    The two of an antithetic pair of `normal(*key)` stand for the same unit: each unit is symmetric about its mean.
    """
    half = P.distinct() // 2
    gen = P.generator("units", out, *key)
    if out <= half:
        chosen = torch.randperm(half, generator=gen) % out
    elif out <= _SHUFFLED:
        chosen = torch.randperm(out, generator=gen)[:half]
    else:  # one of each stretch, in random order
        starts = torch.randperm(half, generator=gen) + torch.rand(half, generator=gen, dtype=P.DTYPE)
        chosen = (starts * (out / half)).long().clamp(max=out - 1)
    index = torch.empty(P.distinct(), dtype=torch.long)
    for places in P.pairs(*key):
        index[places] = chosen
    return index.repeat(P.BLOCKS)


def rows(weight: Weight, out_first: Tensor | None, out: int, fan_in: int, *key: object) -> Rows:
    """Rows of the matrix `out_first` (`[out, fan_in]`, real values), or of the weight's law where it is None."""
    index = unit_index(out, *key)
    if out_first is not None:
        seen, local = torch.unique(index, return_inverse=True)
        w = out_first.detach()
        w = w[seen] if seen.numel() < out else w
        sums = w.sum(1, dtype=P.DTYPE)
        energies = torch.linalg.vector_norm(w, dim=1, dtype=P.DTYPE).square()
        square = float(energies.mean()) / fan_in
        mean = float(sums.mean()) / fan_in
        deviation = math.sqrt(max(square - mean**2, 0.0))
        return Rows(sums[local], energies[local], square * fan_in * out, mean, deviation, fan_in, index)
    mean = float(weight.sample.mean())
    square = float(weight.sample.square().mean())
    deviation = math.sqrt(max(square - mean**2, 0.0))
    noise = P.normal("rows", *key, rows=1)[0] if weight.sample.numel() > 1 else torch.zeros(P.S, dtype=P.DTYPE)
    sums = fan_in * mean + math.sqrt(fan_in) * deviation * noise
    energies = torch.full((P.S,), fan_in * square, dtype=P.DTYPE)
    return Rows(sums, energies, square * fan_in * out, mean, deviation, fan_in, index)


def per_unit(weight: Weight, index: Tensor | None, *key: object) -> Tensor:
    """`[S]` elements of a one-dimensional weight, at given units or at evenly drawn ones."""
    if weight.values is not None:
        flat = weight.values.detach().to(P.DTYPE).reshape(-1)
        at = index if index is not None else unit_index(flat.numel(), *key)
        return flat[at % flat.numel()]
    return weight.sample[drawn(weight.sample.numel(), "elements", *key)]


def drawn(n: int, *key: object) -> Tensor:
    """`[S]` random indices below `n`, the same in all blocks."""
    return torch.randint(0, n, (P.distinct(),), generator=P.generator(*key)).repeat(P.BLOCKS)


def spread(values: Tensor, shape: Sequence[int], dims: Dims, *key: object) -> Tensor:
    """`[R, S]` elements of a concrete tensor of `shape`, whose dims have the roles of `dims` (aligned right).

    Unit indices are shared by all replicas, sample indices by replicas of one sample, position indices by replicas of
    one position; dims of size one are broadcast.
    """
    flat = values.detach().to(P.DTYPE) if values.dtype.is_floating_point else values.detach()
    if flat.numel() == 1:
        return flat.reshape(1, 1).expand(P.R, P.S)
    return flat.reshape(tuple(shape))[tuple(_places(shape, dims, *key))]


def spread_law(sample: Tensor, shape: Sequence[int], dims: Dims, *key: object) -> Tensor:
    """The same of a tensor of which only a sample of its law is known: one place has one value, others have others."""
    place = torch.zeros(P.R, P.S, dtype=torch.long)
    for index, extent in zip(_places(shape, dims, *key), shape, strict=True):
        place = place * extent + index
    return sample[(place % _FOLDED * _SCATTERED >> 16) % sample.numel()]


_FOLDED, _SCATTERED = 1 << 31, 2654435761
"""Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4): neighbouring places are drawn far apart."""


def _places(shape: Sequence[int], dims: Dims, *key: object) -> list[Tensor]:
    """For each dim `[R, S]` indices."""
    offset = len(dims) - len(shape)
    index = []
    for i, extent in enumerate(shape):
        role = dims[i + offset][0].role if i + offset >= 0 and dims[i + offset] else Role.UNIT
        index.append(_indices(extent, role, i + offset, *key))
    return index


def _indices(extent: int, role: Role, place: int, *key: object) -> Tensor:
    """`[R, S]` index along one dim."""
    if extent == 1:
        return torch.zeros(P.R, P.S, dtype=torch.long)
    if role in (Role.UNIT, Role.KEY):
        return unit_index(extent, place, *key).expand(P.R, P.S)
    pair = torch.stack([unit_index(extent, place, "first", *key), unit_index(extent, place, "second", *key)])
    clash = pair[0] == pair[1]
    pair[1] = torch.where(clash, (pair[1] + 1) % extent, pair[1])
    return pair[[0, 0, 1, 1]] if role is Role.SAMPLE else pair[[0, 1, 0, 1]]


LAYOUT = frozenset(
    "t transpose permute view reshape view_as reshape_as unsqueeze squeeze flatten unflatten contiguous clone to float "
    "expand expand_as getitem narrow select chunk split unbind unpack detach movedim swapaxes t mT T".split()
)
"""Operators that only rearrange elements: a law survives them."""

SHAPED_LIKE = frozenset("view_as reshape_as expand_as".split())
"""Those of them that read no more of their second operand than its shape."""

CAST = frozenset("to type_as".split())
"""Those that may read no more of a second operand than its dtype."""

TURNING = frozenset("permute transpose swapaxes swapdims movedim moveaxis t T mT H mH adjoint".split())
"""Operators that exchange dims: those that turn a matrix."""
