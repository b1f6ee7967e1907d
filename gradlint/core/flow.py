"""The gradient flow of a model, predicted or measured: the values that rules, probe and reports speak in.

RMS figures are root mean squares over the elements of a tensor; gains and attenuations are in decades (log10).
`0.0` means that no gradient arrives, `None` that the figure is not known. See `docs/flow.md` for the definitions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gradlint.core.location import Location


@dataclass(frozen=True, slots=True)
class NodeFlow:
    """What is predicted of the (first) tensor that one node gives."""

    name: str
    activation_rms: float | None
    gradient_rms: float | None
    mean: float | None = None
    q: float | None = None  # E[x²]: same sample, same position
    p: float | None = None  # same sample, other position
    s: float | None = None  # other sample, same position
    o: float | None = None  # both differ
    saturated: float | None = None
    """Elementwise maps only: share of units whose slope is under 1 % of the steepest slope of that map."""
    dead: float | None = None
    """Elementwise maps only: share of units whose slope is zero in every replica."""
    slope_rms: float | None = None
    """Elementwise maps of one tensor only: RMS of the local derivative."""
    bounded: bool = False
    """Elementwise maps only: the map's range is bounded on both sides (sigmoid, tanh, a hand-written clamp)."""
    contrast: float | None = None
    """Half the mean square of the difference between two samples at one position: q − s, without cancellation."""
    known: bool = True
    sd: float | None = None
    """Predicted scatter of log10 gradient RMS over initialisations."""

    @property
    def sample_separation(self) -> float | None:
        """1 − the correlation of two samples after the unit mean is removed: 0 means that inputs cannot be told apart.

        From their differences where these are known: q − s cannot show what lies below 1e-16 of q.
        """
        if self.q is None or self.s is None or self.mean is None:
            return None
        variance = self.q - self.mean * self.mean
        if not math.isfinite(variance) or variance <= 1e-30:
            return None
        apart = self.q - self.s if self.contrast is None else self.contrast
        return max(0.0, min(2.0, apart / variance))


@dataclass(frozen=True, slots=True)
class ModuleFlow:
    """Activation and gradient at the value that a module returns (several calls: pooled squares)."""

    activation_rms: float | None
    gradient_rms: float | None
    attenuation: float | None
    """log10(gradient RMS at the model's floating outputs / `gradient_rms`): positive is lost, negative is growth."""
    calls: int


@dataclass(frozen=True, slots=True)
class ParameterFlow:
    """Gradient and value of one parameter."""

    gradient_rms: float | None
    value_rms: float | None

    @property
    def update_ratio(self) -> float | None:
        """RMS of the gradient relative to the RMS of the value."""
        if self.gradient_rms is None or not self.value_rms:
            return None
        return self.gradient_rms / self.value_rms


@dataclass(frozen=True, slots=True)
class TimeFlow:
    """Gradient over the steps of one recurrence, first step first. All RMS, cotangent on the *last* step only."""

    name: str
    """Node name of a fused recurrence, or module path of an unrolled cell."""
    module: str
    steps: int
    hidden: tuple[float, ...]
    """RMS of ∂L/∂h_t (the top layer's h) for the evaluated steps: all of them, up to a cap."""
    inputs: tuple[float, ...] = ()
    """RMS of ∂L/∂x_t."""
    gain: float = 0.0
    """Decades per step that the gradient gains (positive) or loses (negative) going back one step."""
    cell: str = ""
    """"rnn_tanh", "rnn_relu", "lstm", "gru" or "loop"."""
    arriving: tuple[float, ...] = ()
    """RMS of ∂L/∂x_t as the model itself reads the recurrence (the last step, their mean, all of them), for the
    evaluated steps; empty where it is not known."""

    @property
    def lost(self) -> float:
        """Decades that the gradient loses from the last step to the first, cotangent on the last step only."""
        return -self.gain * (self.steps - 1)

    @property
    def lost_as_read(self) -> float:
        """Decades by which the first step's gradient lies below the best-fed step's, as the model reads them.

        A model that averages over all steps reaches the first of them directly. Infinite where nothing arrives there.
        """
        if not self.arriving:
            return self.lost
        best, first = max(self.arriving), self.arriving[0]
        if not best:
            return 0.0
        return math.log10(best / first) * (self.steps - 1) / max(1, len(self.arriving) - 1) if first else math.inf

    def horizon(self, decades: float) -> float:
        """Steps until the gradient has lost `decades` (infinite where it loses nothing)."""
        return math.inf if self.gain >= 0 else decades / -self.gain


@dataclass(frozen=True, slots=True)
class UnknownOperator:
    """An operator that the flow has no transfer rule for: named, never guessed."""

    op: str
    node: str
    location: Location | None
    reason: str = ""


@dataclass(frozen=True)
class Flow:
    """A model's flow. `measure` returns the same structure from a real forward and backward (then `nodes` is empty)."""

    module_flows: Mapping[str, ModuleFlow]
    parameter_flows: Mapping[str, ParameterFlow]
    nodes: Mapping[str, NodeFlow] = field(default_factory=dict)
    times: tuple[TimeFlow, ...] = ()
    unknown: tuple[UnknownOperator, ...] = ()
    output_gradient_rms: float = 1.0
    parametrised: frozenset[str] = frozenset()
    """Paths of the modules that own parameters themselves."""
    mixes_samples: bool = False
    """Whether what stands along the first dim reads each other (nodes of a graph): no samples that are told apart."""

    def modules(self) -> dict[str, ModuleFlow]:
        """Flow per module, keyed by dotted name; the model itself is `""`; modules never called are absent."""
        return dict(self.module_flows)

    def parameters(self) -> dict[str, ParameterFlow]:
        """Flow per parameter, keyed by dotted name."""
        return dict(self.parameter_flows)

    @property
    def attenuation(self) -> float | None:
        """The largest attenuation over the parametrised modules, in decades."""
        known = [
            flow.attenuation
            for path, flow in self.module_flows.items()
            if path in self.parametrised and flow.attenuation is not None
        ]
        return max(known) if known else None
