"""Two revisions of a repository, held against each other: what `gradlint diff` prints."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from gradlint.core.architecture import ModuleLoss
from gradlint.core.finding import Finding
from gradlint.core.report import ModelSummary, Skipped

NOTICED = 0.1
"""Decades from which a module's attenuation counts as changed."""


class Status(StrEnum):
    """What became of a model."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    """Called otherwise or in another file, and the same else."""
    UNCHANGED = "unchanged"
    UNKNOWN_BEFORE = "not analysed before"
    UNKNOWN_NOW = "not analysed any more"


@dataclass(frozen=True, slots=True)
class Shift:
    """One module of a model on both sides; None where there is none."""

    before: ModuleLoss | None
    after: ModuleLoss | None

    @property
    def path(self) -> str:
        """Dotted name."""
        part = self.after or self.before
        return part.path if part is not None else ""

    @property
    def cost(self) -> float | None:
        """Decades that the change costs (negative: gains); infinite where nothing arrives any more, or again."""
        if self.before is None or self.after is None:
            return None
        if self.before.is_reached != self.after.is_reached:
            return math.inf if self.before.is_reached else -math.inf
        if self.before.attenuation is None or self.after.attenuation is None:
            return None
        return self.after.attenuation - self.before.attenuation


@dataclass(frozen=True, slots=True)
class ModelChange:
    """One model on both sides."""

    status: Status
    before: ModelSummary | None = None
    after: ModelSummary | None = None
    shifts: tuple[Shift, ...] = ()
    """Modules that are new, gone, or whose attenuation changes by `NOTICED` and more; the worst first."""

    @property
    def model(self) -> ModelSummary:
        """The model as it is now, or as it was last."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def worst(self) -> Shift | None:
        """The module that the change costs most, where it costs a noticeable loss."""
        return next((shift for shift in self.shifts if shift.cost is not None and shift.cost >= NOTICED), None)

    @property
    def loss(self) -> float | None:
        """Decades that the change costs at its worst module, or the model's worst-fed layer; None where not known."""
        costs = [shift.cost for shift in self.shifts if shift.cost is not None]
        if self.before is None or self.after is None:
            return None
        if self.before.attenuation is not None and self.after.attenuation is not None:
            costs.append(self.after.attenuation - self.before.attenuation)
        return max(costs, default=None)


@dataclass(frozen=True, slots=True)
class Moved:
    """A finding that is known from another place, or has become more severe."""

    before: Finding
    after: Finding


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison found. Paths are those of the user's tree."""

    base: str
    head: str
    models: tuple[ModelChange, ...] = ()
    new: tuple[Finding, ...] = ()
    fixed: tuple[Finding, ...] = ()
    moved: tuple[Moved, ...] = ()
    worse: tuple[Moved, ...] = ()
    """Known findings that are more severe than they were."""
    known: int = 0
    """Findings that are there on both sides, at the same place."""
    skipped: tuple[Skipped, ...] = ()
    """What could not be analysed now."""
    files: int = 0
    """Files that were checked, as they are now."""
    left_out: int = 0
    """Files that are the same on both sides, and all that they import."""
    notes: tuple[str, ...] = ()
    lines: dict[tuple[str, int], str] = field(default_factory=dict)
    """Source lines of the findings: the revision that they belong to may lie in no file any more."""

    @property
    def changed(self) -> tuple[ModelChange, ...]:
        """Models that are not as they were."""
        return tuple(change for change in self.models if change.status is not Status.UNCHANGED)

    @property
    def counting(self) -> tuple[Finding, ...]:
        """Findings that a gate asks about: those that are new or more severe."""
        return self.new + tuple(item.after for item in self.worse)
