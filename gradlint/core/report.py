"""The result of a run, as every output format reads it."""

from dataclasses import dataclass, field
from typing import Any

from gradlint.core.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One analysed model."""

    name: str
    path: str
    line: int
    built: str = ""
    inputs: str = ""
    traced_by: str = ""
    nodes: int = 0
    unknown_operators: tuple[str, ...] = ()
    parameters: int = 0
    attenuation: float | None = None
    probed: str = ""
    """Empty where no probe was asked for; "yes", or the reason why it was not probed."""
    near_misses: tuple[str, ...] = ()
    """Why rules did not fire, in numbers (`--verbose`)."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not analysed, why, and the one line that would help."""

    path: str
    line: int
    name: str
    reason: str
    remedy: str = ""
    is_model: bool = True
    """False for files that hold no model at all (a note, not a failure)."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that the user's own comment silenced: kept, never counted."""

    finding: Finding
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """Everything a run found. Paths are as the user gave them (relative to the working directory where possible)."""

    findings: tuple[Finding, ...] = ()
    models: tuple[ModelSummary, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    files: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def count(self, severity: Severity) -> int:
        """Number of findings of one severity."""
        return sum(1 for finding in self.findings if finding.severity is severity)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON (`docs/json-schema.json`), as plain dictionaries and lists."""
        from gradlint.core.serialise import report_to_dict

        return report_to_dict(self)
