"""The flow of one model as a table: what `gradlint flow` and `gradlint probe` print."""

from dataclasses import dataclass

from gradlint.core.report import ModelSummary


@dataclass(frozen=True, slots=True)
class Figure:
    """One module's flow, predicted or measured: RMS of activation and gradient, attenuation in decades.

    `update_ratio` is RMS ∇W / RMS W, pooled over the parameters that the module owns itself.
    """

    activation_rms: float | None
    gradient_rms: float | None
    attenuation: float | None
    update_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One module, in order of its first call."""

    path: str
    class_name: str
    calls: int
    predicted: Figure | None
    measured: Figure | None = None


@dataclass(frozen=True, slots=True)
class TimeRow:
    """One step of a recurrence: RMS of ∂L/∂h_t and ∂L/∂x_t, the cotangent on the last step only."""

    step: int
    hidden: float | None
    input: float | None
    measured_hidden: float | None = None
    measured_input: float | None = None


@dataclass(frozen=True, slots=True)
class TimeTable:
    """One recurrence; `gain` is in decades per step going back."""

    module: str
    cell: str
    steps: int
    gain: float | None
    measured_gain: float | None
    rows: tuple[TimeRow, ...]


@dataclass(frozen=True, slots=True)
class FlowTable:
    """The whole table."""

    model: ModelSummary
    layers: tuple[LayerRow, ...]
    times: tuple[TimeTable, ...] = ()
    is_measured: bool = False
    doubts: tuple[str, ...] = ()
    """Why the model, or what it was fed with, may not be the user's."""
