"""How alike the units of a map are: squared covariances of pairs of units, by the shift between their positions.

A dense contraction gives each of its units the variance wᵀΣw. Were the features that it reads independent, only ‖w‖²
would differ from unit to unit; the fewer directions Σ really has, the more the variances differ, and a batch norm
behind divides by them: E[1/σ²] is larger by 1/(1 − 2·Tr Σ²/(Tr Σ)²). Finite width makes pairs of units alike (their
squared correlation is that same ratio), overlapping windows make neighbours alike.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlint.propagation import particles as P

REACH = 4
"""Shifts along each axis are followed up to so many positions."""


@dataclass(frozen=True, slots=True)
class Kinship:
    """`pairs[δ]` = Σ over units c, c′ of Cov(x_c(t), x_c′(t+δ))² / (Σ_c Var x_c)², each unit with itself left out.

    `[2·REACH + 1]` per axis; `units` is the number of units.
    """

    pairs: Tensor
    units: int

    @staticmethod
    def none(units: int, axes: int) -> "Kinship":
        """Independent units and positions."""
        return Kinship(torch.zeros([2 * REACH + 1] * axes, dtype=P.DTYPE), units)

    @property
    def whole(self) -> Tensor:
        """`pairs` with each unit's own variance at shift zero."""
        whole = self.pairs.clone()
        whole[(REACH,) * whole.dim()] += 1 / self.units
        return whole

    def contracted(
        self, out: int, kernel: list[int], stride: list[int], dilation: list[int]
    ) -> "tuple[float, Kinship]":
        """Behind a dense contraction with independent weights.

        Returns:
            What Tr Σ²/(Tr Σ)² of a window has beyond independent features, and the kinship of the result.
        """
        met = _over_windows(self.whole, kernel, dilation)
        middle = (REACH,) * met.dim()
        beyond = float(met[middle]) - 1 / (self.units * math.prod(kernel))
        return max(beyond, 0.0), Kinship(_every(met, stride), out)

    def each_alone(self, kernel: list[int], stride: list[int], dilation: list[int]) -> "Kinship":
        """Behind a depthwise convolution: a unit meets its own neighbours, and other units as before."""
        met = _every(_over_windows(self.whole, kernel, dilation), stride)
        middle = (REACH,) * met.dim()
        met[middle] = _over_windows(self.pairs, kernel, dilation)[middle]
        return Kinship(met, self.units)

    def pooled(self, kernel: list[int], stride: list[int]) -> "Kinship":
        """Behind a pool: windows that overlap hold the same elements."""
        pairs = _every(self.pairs, stride)
        shared = torch.ones((), dtype=P.DTYPE)
        for k, s in zip(kernel, stride, strict=True):
            shift = (torch.arange(-REACH, REACH + 1, dtype=P.DTYPE) * s).abs()
            shared = shared[..., None] * (1 - shift / k).clamp(min=0)
        own = shared.square() / self.units
        own[(REACH,) * own.dim()] = 0.0
        return Kinship(pairs + own, self.units)

    def uneven(self, reach: list[Tensor], mean: float, variance: float) -> "Kinship":
        """Where windows reach into padding: the mean of all units is smaller there, the same pattern in each unit.

        Args:
            reach: per axis, the share of each place's window that meets the map.
            mean: square of the mean that all units share where windows meet nothing but the map.
            variance: of a unit over samples and positions, that of the pattern included.
        """
        both, level = torch.ones((), dtype=P.DTYPE), math.prod(float(a.mean()) for a in reach) ** 2
        for a in reach:
            shifts = torch.arange(-REACH, REACH + 1).abs().tolist()
            both = both[..., None] * torch.tensor([float((a[d:] * a[: max(a.numel() - d, 0)]).mean()) for d in shifts])
        alike = (both - level).nan_to_num() * mean / max(variance, 1e-300)  # no two places are so far apart
        return Kinship(self.pairs + alike.square(), self.units)

    def times(self, factor: float) -> "Kinship":
        """All squared covariances multiplied."""
        return Kinship(self.pairs * factor, self.units)


def border(valid: list[Tensor], mean: float, spread: float) -> float:
    """What zero padding adds to Tr Σ²/(Tr Σ)² of a window: where taps meet padding, the mean of all units is missing.

    Args:
        valid: per axis `[outputs, taps]`, 1.0 where the tap meets the input.
        mean: square of the mean that all units of the input share.
        spread: variance of the input's elements.
    """
    alike, apart = torch.ones(1, 1, dtype=P.DTYPE), torch.ones(1, dtype=P.DTYPE)
    for axis in valid:
        alike = torch.kron(alike, axis.T @ axis / axis.shape[0])
        apart = torch.kron(apart, axis.mean(0))
    missing = alike - torch.outer(apart, apart)  # covariance over positions of which taps are valid
    total = mean * float(missing.trace()) + spread * float(apart.sum())
    return (mean / total) ** 2 * float(missing.square().sum()) if total > 0 else 0.0


def summed(parts: list[tuple[Kinship, float]]) -> Kinship | None:
    """Of a sum of independent signals, each with its variance."""
    total = sum(variance for _, variance in parts)
    first = parts[0][0]
    if total <= 0 or any(k.pairs.shape != first.pairs.shape or k.units != first.units for k, _ in parts):
        return None
    weighted = [k.pairs * (variance / total) ** 2 for k, variance in parts]
    return Kinship(torch.stack(weighted).sum(0), first.units)


def _over_windows(field: Tensor, kernel: list[int], dilation: list[int]) -> Tensor:
    """Mean over the pairs of taps of two windows, axis by axis."""
    for axis, (k, d) in enumerate(zip(kernel, dilation, strict=True)):
        moved = field.movedim(axis, -1)
        total = torch.zeros_like(moved)
        for step in range(1 - k, k):
            total += (1 - abs(step) / k) / k * _shifted(moved, step * d)
        field = total.movedim(-1, axis)
    return field


def _shifted(field: Tensor, step: int) -> Tensor:
    """`field[δ + step]` along the last axis, nothing beyond its ends."""
    out = torch.zeros_like(field)
    n = field.shape[-1]
    if abs(step) < n:
        out[..., max(0, -step) : n - max(0, step)] = field[..., max(0, step) : n - max(0, -step)]
    return out


def _every(field: Tensor, stride: list[int]) -> Tensor:
    """`field[stride·δ]`, nothing beyond its ends."""
    for axis, s in enumerate(stride):
        moved = field.movedim(axis, -1)
        out = torch.zeros_like(moved)
        for shift in range(-(REACH // s), REACH // s + 1):
            out[..., REACH + shift] = moved[..., REACH + s * shift]
        field = out.movedim(-1, axis)
    return field
