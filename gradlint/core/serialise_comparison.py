"""The published JSON of a comparison ("gradlint-diff/1"): its types, the conversion, and its JSON schema."""

import math
from typing import Any, Literal

import msgspec

from gradlint.core.architecture import ModuleLoss
from gradlint.core.comparison import Comparison, ModelChange, Moved, Shift, Status
from gradlint.core.serialise import (
    Document,
    FindingDocument,
    ModelDocument,
    ModuleDocument,
    SkippedDocument,
    finding_document,
    model_document,
    module_document,
    skipped_document,
)
from gradlint.core.text import tamed

SCHEMA: Literal["gradlint-diff/1"] = "gradlint-diff/1"
Cost = float | Literal["inf", "-inf"] | None
"""Decades; "inf" where no gradient arrives any more, "-inf" where it arrives again, null where it is not known."""


class ShiftDocument(Document, frozen=True):
    """One module that is new, gone, or whose attenuation differs; `cost` in decades, negative where the change wins."""

    path: str
    before: ModuleDocument | None
    after: ModuleDocument | None
    cost: Cost


class ChangeDocument(Document, frozen=True):
    """One model on both sides; `loss` is what the change costs at most, in decades."""

    status: Status
    before: ModelDocument | None
    after: ModelDocument | None
    loss: Cost
    modules: list[ShiftDocument]


class MovedDocument(Document, frozen=True):
    """A finding that is known from another place, or was less severe."""

    before: FindingDocument
    after: FindingDocument


class FindingsDocument(Document, frozen=True):
    """Findings by what became of them; those that are the same on both sides are counted in the summary only."""

    new: list[FindingDocument]
    worse: list[MovedDocument]
    fixed: list[FindingDocument]
    moved: list[MovedDocument]


class DifferencesDocument(Document, frozen=True):
    """Counts; `left_out` are files that no change reaches."""

    new: int
    worse: int
    fixed: int
    moved: int
    known: int
    files: int
    left_out: int
    unanalysed: int


class ComparisonDocument(Document, frozen=True):
    """A whole comparison."""

    schema: Literal["gradlint-diff/1"]
    base: str
    head: str
    summary: DifferencesDocument
    models: list[ChangeDocument]
    findings: FindingsDocument
    skipped: list[SkippedDocument]
    notes: list[str]


def comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    """The published JSON as plain dictionaries and lists."""
    document = ComparisonDocument(
        schema=SCHEMA,
        base=comparison.base,
        head=comparison.head,
        summary=DifferencesDocument(
            new=len(comparison.new),
            worse=len(comparison.worse),
            fixed=len(comparison.fixed),
            moved=len(comparison.moved),
            known=comparison.known,
            files=comparison.files,
            left_out=comparison.left_out,
            unanalysed=sum(1 for item in comparison.skipped if item.is_model),
        ),
        models=[_change(change) for change in comparison.models],
        findings=FindingsDocument(
            new=[finding_document(finding) for finding in comparison.new],
            worse=[_moved(item) for item in comparison.worse],
            fixed=[finding_document(finding) for finding in comparison.fixed],
            moved=[_moved(item) for item in comparison.moved],
        ),
        skipped=[skipped_document(item) for item in comparison.skipped],
        notes=list(comparison.notes),
    )
    plain: dict[str, Any] = tamed(msgspec.to_builtins(document))
    return plain


def comparison_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the published JSON."""
    schema = msgspec.json.schema(ComparisonDocument)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def _change(change: ModelChange) -> ChangeDocument:
    return ChangeDocument(
        change.status,
        model_document(change.before) if change.before is not None else None,
        model_document(change.after) if change.after is not None else None,
        _cost(change.loss),
        [_shift(shift) for shift in change.shifts],
    )


def _shift(shift: Shift) -> ShiftDocument:
    return ShiftDocument(shift.path, _module(shift.before), _module(shift.after), _cost(shift.cost))


def _module(part: ModuleLoss | None) -> ModuleDocument | None:
    return module_document(part) if part is not None else None


def _moved(item: Moved) -> MovedDocument:
    return MovedDocument(finding_document(item.before), finding_document(item.after))


def _cost(decades: float | None) -> Cost:
    if decades is None or math.isfinite(decades):
        return decades
    return "inf" if decades > 0 else "-inf"
