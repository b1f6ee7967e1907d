"""How far the first steps of training move a model's outputs, and how much of that tells samples apart.

A small step on the weights changes the outputs by the tangent kernel Θ(a, b) = Σ (∂f/∂w at a)·(∂f/∂w at b) (Jacot,
Gabriel, Hongler 2018). What is the same for two different samples moves all outputs alike; only Θ(a, a) − Θ(a, b) lets
a model answer differently to different inputs, and the largest learning rate is set by the whole (Xiao, Pennington,
Schoenholz 2020, "Disentangling trainability and generalization in deep neural networks").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_RATE = 1.0
"""Learning rate beyond which nobody goes with SGD, however flat the kernel."""


@dataclass(frozen=True, slots=True)
class Tangent:
    """One parameter's part of the kernel, mean over the elements of a sample's output."""

    own: float
    """Θ(a, a): ‖∂f/∂w‖² for one sample."""
    shared: float
    """Θ(a, b): the same between two different samples."""
    gradient_rms: float
    """RMS of its gradient for independent cotangents."""
    value_rms: float = 0.0
    """RMS of its elements."""

    @property
    def varied(self) -> float:
        """What differs between samples; never below zero."""
        return max(0.0, self.own - self.shared)


@dataclass(frozen=True, slots=True)
class Tangents:
    """The kernel of a whole model, parameter by parameter."""

    parameters: Mapping[str, Tangent]
    variation: float = 0.0
    """RMS of what differs between samples in the outputs, √(q − s)."""

    @property
    def own(self) -> float:
        """Θ(a, a)."""
        return sum(t.own for t in self.parameters.values())

    @property
    def shared(self) -> float:
        """Θ(a, b)."""
        return sum(t.shared for t in self.parameters.values())

    @property
    def varied(self) -> float:
        """Θ(a, a) − Θ(a, b), parameter by parameter: rounding in one of them would drown the others."""
        return sum(t.varied for t in self.parameters.values())

    @property
    def scrambling(self) -> float:
        """Decades by which a change of all weights is magnified in what tells the outputs of two samples apart.

        Weights that all move by 1 % move those differences by 10^scrambling %. Where that is much, a step is either too
        small to matter or so large that what was learned before is lost: chaos, shattered gradients (Balduzzi et al.
        2017). 0 where the outputs do not differ at all (a head of zeros, or a collapse, which `slowness` tells).
        """
        moved = math.sqrt(sum(t.varied * t.value_rms**2 for t in self.parameters.values()))
        return max(0.0, _decades(moved, self.variation)) if self.variation > 0 and moved > 0 else 0.0

    @property
    def slowness(self) -> float:
        """Decades of steps that SGD needs beyond what a well-conditioned model does: log10 of Θ(a, a), which sets the
        largest learning rate, over what tells samples apart. Infinite where nothing does."""
        return _decades(max(self.own, 1 / LARGEST_RATE), self.varied)

    @property
    def slowness_adam(self) -> float:
        """The same for Adam, which moves every parameter by a step of one size, whatever its gradient."""
        moved = [t for t in self.parameters.values() if t.gradient_rms]
        return _decades(sum(t.own / t.gradient_rms for t in moved), sum(t.varied / t.gradient_rms for t in moved))


def _decades(whole: float, part: float) -> float:
    return math.log10(whole / part) if whole > 0 and part > 0 else math.inf
