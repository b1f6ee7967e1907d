"""Findings: what a rule says, what would mend it, and what the probe made of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from gradlint.core.edit import Edit
from gradlint.core.location import Location, Site

Figure = float | int | str | bool | None
Figures = dict[str, Figure]


class Severity(StrEnum):
    """Harm: `error` is predicted not to train, `warning` trains but handicapped, `info` never gates."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return ("info", "warning", "error").index(self.value)


class Confidence(StrEnum):
    """Certainty, kept apart from harm."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Verdict(StrEnum):
    """What a real backward pass made of a finding."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


class Cause(StrEnum):
    """Families of causes; when two findings share operators, the earlier family explains the later one."""

    SEVERED = "severed"
    INITIALISATION = "initialisation"
    SATURATION = "saturation"
    RECURRENCE = "recurrence"
    STRUCTURE = "structure"  # missing norm or skip
    FLOW = "flow"  # plain vanishing or exploding
    OUTLOOK = "outlook"  # hard to train for whatever reason
    USAGE = "usage"  # stands on its own: never merged with another

    @property
    def rank(self) -> int:
        """Smaller ranks explain larger ones."""
        return list(Cause).index(self)


@dataclass(frozen=True, slots=True)
class Remedy:
    """An edit in words, with the effect that the what-if predicts of it."""

    edit: str
    predicted: str
    attenuation: float | None = None
    """Predicted attenuation of the model after the edit, in decades."""
    change: Edit | None = None
    """The what-if that the prediction comes from, where it comes from one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the probe must measure to judge a finding. `kind` names a quantity of `gradlint.probe.quantities`.

    A quantity measures one number; the claim holds if it is at least `threshold` (both in the quantity's unit).
    """

    kind: str
    subject: str = ""
    """Module path, parameter name or node name, as the quantity asks."""
    reference: str = ""
    predicted: float | None = None
    threshold: float | None = None
    edit: Edit | None = None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect. `sites[0]` is the primary line."""

    code: str
    name: str
    severity: Severity
    message: str
    sites: tuple[Site, ...]
    model: str = ""
    module: str = ""
    confidence: Confidence = Confidence.HIGH
    cause: Cause = Cause.USAGE
    predicted: Figures = field(default_factory=dict)
    """Machine-readable figures; the key `summary` holds the sentence that the full report prints."""
    measured: Figures = field(default_factory=dict)
    verdict: Verdict | None = None
    verdict_reason: str = ""
    remedies: tuple[Remedy, ...] = ()
    consequences: tuple[str, ...] = ()
    """Codes of findings that follow from this one and are therefore not reported on their own."""
    attributed: tuple[str, ...] = ()
    """Names of the graph nodes that cause it: two findings that share half of them have one cause."""
    claim: Claim | None = None
    notes: tuple[str, ...] = ()
    """Further sentences of the full report (`= note: …`)."""

    @property
    def location(self) -> Location:
        """The primary line."""
        return self.sites[0].location
