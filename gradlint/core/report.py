"""The result of a run, as every output format reads it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gradlint.core.architecture import Architecture
from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.location import file_of


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
    flow_not_known: str = ""
    """Why the gradient at some of its layers, or at all of them, could not be predicted; empty where it could."""
    probed: str = ""
    """Empty where no probe was asked for; "yes", or the reason why it was not probed."""
    near_misses: tuple[str, ...] = ()
    """Why rules did not fire, in numbers (`--verbose`)."""
    architecture: Architecture | None = None
    """What it is made of."""
    cell: int | None = None
    """Number of the cell of a notebook in which `line` is counted."""
    row: int | None = None
    """Line of the notebook's file, which is JSON, where that is known."""

    @property
    def file(self) -> str:
        """The file, and the cell of a notebook: `model.ipynb:cell 3`."""
        return file_of(self.path, self.cell)

    @property
    def gap(self) -> str:
        """What keeps the model from being wholly analysed, in words; empty where nothing does."""
        names = ", ".join(self.unknown_operators)
        operators = f"operators not known: {names}" if names else ""
        flow = f"the gradient flow is not known {self.flow_not_known}" if self.flow_not_known else ""
        return "; ".join(part for part in (flow, operators) if part)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not analysed, why, and the one line that would help."""

    path: str
    line: int
    """0 where there is no such file at all."""
    name: str
    reason: str
    remedy: str = ""
    is_model: bool = True
    """False for files that hold no model at all (a note, not a failure)."""
    fatal: bool = False
    """True where what the user named does not exist, or gradlint itself failed: exit code 2 whatever else was found."""
    stage: str = ""
    """Where it stopped: "read", "parse", "import", "build", "feed", "trace" …"""
    cell: int | None = None
    """Number of the cell of a notebook in which `line` is counted."""
    row: int | None = None
    """Line of the notebook's file, which is JSON, where that is known."""
    is_known: bool = False
    """Whether the baseline knows of it, or the revision that is compared with: then it is no reason to fail."""

    @property
    def file(self) -> str:
        """The file, and the cell of a notebook: `model.ipynb:cell 3`."""
        return file_of(self.path, self.cell)


class SilencedBy(StrEnum):
    """What keeps a finding from being counted."""

    COMMENT = "comment"
    PER_FILE_IGNORES = "per-file-ignores"
    OVERRIDE = "override"
    BASELINE = "baseline"
    REVISION = "revision"

    @property
    def words(self) -> str:
        """For people: "silenced by a comment", "in the baseline"."""
        by = {"comment": "a comment", "override": "an override"}.get(self.value, self.value)
        known = {"baseline": "in the baseline", "revision": "there before"}
        return known.get(self.value, f"silenced by {by}")


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that the user's own comment, configuration or baseline silenced: kept, never counted."""

    finding: Finding
    reason: str = ""
    by: SilencedBy = SilencedBy.COMMENT


@dataclass(frozen=True, slots=True)
class Shard:
    """A run on a part of the files: the `index`-th of `total`, counted from 1."""

    index: int
    total: int
    gradlint: str = ""
    """The version that made it."""
    data: str = ""
    """What `gradlint merge` of that version needs of it, compressed; for nobody else."""


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
    shard: Shard | None = None
    """Which part of a run it is, where it is only a part."""

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The findings that no probe has refuted: those that count."""
        return tuple(finding for finding in self.findings if finding.verdict is not Verdict.REFUTED)

    @property
    def baselined(self) -> tuple[Suppressed, ...]:
        """What was known before: findings that the baseline holds, or the revision that was compared with."""
        return tuple(item for item in self.suppressed if item.by in (SilencedBy.BASELINE, SilencedBy.REVISION))

    @property
    def unanalysed(self) -> tuple[Skipped, ...]:
        """Models, and files that may hold some, that could not be analysed."""
        return tuple(item for item in self.skipped if item.is_model)

    def count(self, severity: Severity) -> int:
        """Number of findings of one severity that no probe has refuted."""
        return sum(1 for finding in self.standing if finding.severity is severity)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON (`docs/json-schema.json`), as plain dictionaries and lists."""
        from gradlint.core.serialise import report_to_dict

        return report_to_dict(self)
