"""Predicted and measured figures of one model of a zoo, kept in a file of its own.

Both kinds are kept per initialisation, so that neither scoring, nor a change of the prediction, nor more
initialisations repeat a measurement.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common import RESULTS
from scoring import ROUNDING, SINGLE, Comparison, Figures, Score, activations, gradients, parameters, score, seen

from gradlint.core.flow import Flow

FOLDER = RESULTS / "accuracy"


@dataclass(slots=True)
class Record:
    """What is known of one model."""

    library: str
    name: str
    kinds: dict[str, str] = field(default_factory=dict)
    """Class of each module that was called, in the order in which they returned."""
    size: int = 0
    """Modules that the model has: what counts as wrong where it cannot be measured."""
    predicted: list[dict[str, dict[str, float | None]]] = field(default_factory=list)
    """Per initialisation: `activations`, `gradients` and `parameters` by name."""
    measured: list[dict[str, dict[str, float | None]]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Operators without a rule."""
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """CPU seconds of all predictions and of all measurements."""
    is_single: bool = False
    """Whether measurements are made in float32, since the model does not run in float64."""
    failed: str = ""
    """Why a prediction or a measurement came to no end."""

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return FOLDER / self.library / f"{self.name}.json"

    @property
    def seeds(self) -> int:
        """Initialisations of which there are both."""
        return min(len(self.predicted), len(self.measured))

    def save(self) -> None:
        """Write it; a reader never sees half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), separators=(",", ":")), encoding="utf-8")
        part.replace(self.path)

    def comparison(self) -> Comparison:
        """Errors by module and parameter; of a failed model each counts as one decade."""
        if not self.measured:
            nothing = score([{}], [{str(number): 1.0 for number in range(self.size)}])
            return Comparison(nothing, nothing, Score(()))
        missing: dict[str, Figures] = {"activations": {}, "gradients": {}, "parameters": {}}
        predicted = [missing] if self.failed else self.predicted[: self.seeds]
        given = self.measured[:1] if self.failed else self.measured[: self.seeds]
        measured = [{**m, "gradients": dict(seen(m["gradients"], m["parameters"]))} for m in given]
        noise = SINGLE if self.is_single else ROUNDING
        scores = (score([p[k] for p in predicted], [m[k] for m in measured], noise=noise) for k in missing)
        return Comparison(*scores)


def load(library: str, name: str) -> Record:
    """What is kept of a model; an empty record where nothing is."""
    record = Record(library, name)
    if record.path.exists():
        record = Record(**json.loads(record.path.read_text(encoding="utf-8")))
    return record


def figures(flow: Flow) -> dict[str, dict[str, float | None]]:
    """The figures of a flow that are compared."""
    kinds = {"activations": activations(flow), "gradients": gradients(flow), "parameters": parameters(flow)}
    return {kind: {name: _short(value) for name, value in found.items()} for kind, found in kinds.items()}


def _short(value: float | None) -> float | None:
    """Five digits are a thousand times finer than the figures that are drawn from it."""
    return None if value is None or math.isnan(value) else float(f"{value:.5g}")
