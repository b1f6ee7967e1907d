"""How far the first steps of training move a model's outputs, and how much of that tells samples apart.

A small step on the weights changes the outputs by the tangent kernel Θ(a, b) = Σ (∂f/∂w at a)·(∂f/∂w at b) (Jacot,
Gabriel, Hongler 2018). What is the same for two different samples moves all outputs alike; only Θ(a, a) − Θ(a, b) lets
a model answer differently to different inputs, and the largest learning rate is set by the whole (Xiao, Pennington,
Schoenholz 2020, "Disentangling trainability and generalization in deep neural networks").
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tangent:
    """One parameter's part of the kernel, mean over the elements of a sample's output."""

    own: float
    """Θ(a, a): ‖∂f/∂w‖² for one sample."""
    shared: float
    """Θ(a, b): the same between two different samples."""
    gradient_rms: float
    """RMS of its gradient for independent cotangents."""

    @property
    def varied(self) -> float:
        """What differs between samples; never below zero."""
        return max(0.0, self.own - self.shared)


@dataclass(frozen=True, slots=True)
class Tangents:
    """The kernel of a whole model, parameter by parameter."""

    parameters: Mapping[str, Tangent]

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
        """Θ(a, a) − Θ(a, b)."""
        return max(0.0, self.own - self.shared)
