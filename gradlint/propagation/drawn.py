"""Matrices that act several times: what earlier calls have fixed of them is kept, the rest is drawn when it is needed.

Given what W has done to x₁ … x_k, W x is known along their span and fresh beyond it (Bolthausen 2014; Yang 2019,
"tensor programs"): W = Σ ζ_s e_sᵀ with orthonormal inputs e_s and results ζ_s. What Wᵀ has done counts too:
Wᵀ φ(W x) holds a multiple of x.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.weights import Weight

NOTHING = 1e-6
"""RMS, relative to the input, below which an input has no direction that the matrix has not met."""


class _Stack:
    """Rows `[4, width]` one behind the other, in a buffer that doubles."""

    def __init__(self) -> None:
        self.count = 0
        self._held = torch.empty(0)

    def append(self, row: Tensor) -> None:
        if self.count == self._held.shape[-2 if self._held.dim() > 1 else 0]:
            bigger = torch.empty(row.shape[0], max(4, 2 * self.count), row.shape[1], dtype=row.dtype)
            if self.count:
                bigger[:, : self.count] = self.rows
            self._held = bigger
        self._held[:, self.count] = row
        self.count += 1

    @property
    def rows(self) -> Tensor:
        """`[4, count, width]`."""
        return self._held[:, : self.count]


@dataclass
class _Side:
    """What the matrix (or its transpose) has done, per eigen-direction of the replicas."""

    inputs: _Stack = field(default_factory=_Stack)
    """Orthonormal."""
    fresh: _Stack = field(default_factory=_Stack)
    """What was drawn for them."""
    echoes: dict[int, Tensor] = field(default_factory=dict)
    """What the other side's calls had fixed of their results, where there were any."""

    def echo(self, parts: Tensor, width: int) -> Tensor:
        """`[4, width]` the same of a sum of inputs."""
        zero = torch.zeros(P.R, width, dtype=P.DTYPE)
        return sum((parts[:, i, None] * heard for i, heard in self.echoes.items()), zero)

    def results(self) -> Tensor:
        """`[4, count, width]` all that the inputs gave."""
        rows = self.fresh.rows.clone()
        for i, heard in self.echoes.items():
            rows[:, i] += heard
        return rows


@dataclass
class DrawnMatrix:
    """A wide random matrix with independent entries, drawn along the directions in which it is asked.

    Inputs and results are scaled to one: a result has the size of `√(fan_in)·σ`, which its caller knows. The four
    eigen-directions of the replicas (`particles.HADAMARD`) do not meet in a wide matrix.
    """

    along: _Side = field(default_factory=_Side)
    against: _Side = field(default_factory=_Side)

    def act(self, x: Tensor, noise: Tensor, ratio: float, *, turned: bool) -> tuple[Tensor, Tensor]:
        """W x, or Wᵀ x if `turned`, for unit inputs.

        Args:
            x: `[4, width]` the input along the eigen-directions, of any size.
            noise: `[4, width]` fresh standard particles along them.
            ratio: inputs / outputs of this call.
            turned: whether the transpose acts.

        Returns:
            `[4, width]` what is random, of RMS one, and what the other side's calls echo in it.
        """
        near, far = (self.against, self.along) if turned else (self.along, self.against)
        size = x.square().mean(1, keepdim=True).sqrt()
        known = size > NOTHING * size.max()
        unit = torch.where(known, x / size.clamp(min=1e-300), 0.0)
        rest, own, echo = unit, torch.zeros_like(noise), torch.zeros_like(noise)
        if near.inputs.count:
            parts = _along(near.inputs.rows, rest)
            rest = rest - _sum(parts, near.inputs.rows)
            again = _along(near.inputs.rows, rest)
            rest, parts = rest - _sum(again, near.inputs.rows), parts + again
            own, echo = _sum(parts, near.fresh.rows), near.echo(parts, noise.shape[1])
        left = rest.square().mean(1, keepdim=True).sqrt()
        new = left > NOTHING
        direction = torch.where(new, rest / left.clamp(min=1e-300), 0.0)
        heard = torch.zeros_like(noise)
        if far.inputs.count:
            heard = math.sqrt(ratio) * _sum(_along(far.results(), direction), far.inputs.rows)
        drawn = torch.where(new, noise, 0.0)
        if bool(new.any()) and near.inputs.count < P.distinct():
            if far.inputs.count:
                near.echoes[near.inputs.count] = heard
            near.inputs.append(direction)
            near.fresh.append(drawn)
        own, echo = own + left * drawn, echo + left * heard
        sized = own / own.square().mean(1, keepdim=True).sqrt().clamp(min=1e-300)
        return torch.where(known, sized, noise), torch.where(known, echo, 0.0)


def _along(rows: Tensor, x: Tensor) -> Tensor:
    """`[4, count]` components of `x` `[4, width]`."""
    return torch.einsum("dkw,dw->dk", rows, x) / x.shape[1]


def _sum(parts: Tensor, rows: Tensor) -> Tensor:
    """`[4, width]`."""
    return torch.einsum("dk,dkw->dw", parts, rows)


@dataclass(frozen=True, slots=True)
class RealMatrix:
    """A square matrix of true width, acting on particles that stand for real units.

    Powers of a matrix of width n differ from those of fresh draws as soon as about √n of them are taken, and an
    orthogonal one never acts like a random one.
    """

    values: Tensor
    """`[n, n]` float64."""

    @staticmethod
    def of(weight: Weight) -> "RealMatrix":
        """From the weight's values, or drawn from its law."""
        if weight.values is not None:
            values = weight.values.detach().to(P.DTYPE)
            return RealMatrix(values.T if weight.turned else values)
        at = torch.randint(0, weight.sample.numel(), weight.shape, generator=P.generator("real", weight.origin))
        return RealMatrix(weight.sample[at])

    @property
    def index(self) -> Tensor:
        """`[S]` unit that each particle stands for."""
        return (torch.arange(P.distinct()) % self.values.shape[0]).repeat(P.BLOCKS)

    def act(self, x: Tensor, *, turned: bool) -> Tensor:
        """`[R, S]` → `[R, S]`. Particles that make up no whole set of units repeat the first set's."""
        n = self.values.shape[0]
        sets = x.reshape(P.R, P.BLOCKS, -1)
        whole = sets.shape[2] // n * n
        matrix = self.values if turned else self.values.T
        y = (sets[..., :whole].reshape(P.R, P.BLOCKS, -1, n) @ matrix).reshape(P.R, P.BLOCKS, whole)
        return torch.cat([y, y[..., : sets.shape[2] - whole]], 2).reshape(P.R, -1)
