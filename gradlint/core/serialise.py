"""The published JSON of a report ("gradlint/1"): its types, the conversion, and its JSON schema."""

import math
from typing import Any, Literal

import msgspec

from gradlint.core.architecture import Architecture, ModuleLoss
from gradlint.core.finding import Confidence, Figures, Finding, Severity, Verdict
from gradlint.core.location import Site
from gradlint.core.report import ModelSummary, Report, Shard, SilencedBy, Skipped
from gradlint.core.text import tamed

SCHEMA: Literal["gradlint/1"] = "gradlint/1"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the parts of the published JSON."""


class SummaryDocument(Document, frozen=True):
    """Counts. Refuted, suppressed and baselined findings are in no other count than their own."""

    errors: int
    warnings: int
    infos: int
    refuted: int
    suppressed: int
    baselined: int
    files: int
    models: int
    unanalysed: int


class ModuleDocument(Document, frozen=True):
    """One module that owns parameters; its attenuation (decades) is null where not known or where nothing arrives."""

    path: str
    class_name: str
    attenuation: float | None
    is_reached: bool


class ArchitectureDocument(Document, frozen=True):
    """What a model is made of."""

    layers: dict[str, int]
    depth: int
    skips: int
    norms: int
    activations: dict[str, int]
    modules: list[ModuleDocument]


class ModelDocument(Document, frozen=True):
    """One analysed model; `attenuation` is in decades, `flow_not_known` says why it is not known (empty: it is)."""

    name: str
    path: str
    line: int
    built: str
    inputs: str
    traced_by: str
    nodes: int
    unknown_operators: list[str]
    parameters: int
    attenuation: float | None
    flow_not_known: str
    architecture: ArchitectureDocument | None


class SiteDocument(Document, frozen=True):
    """One place of a finding; the first one is the primary line."""

    path: str
    line: int
    column: int
    end_column: int | None
    context: str
    label: str


class RemedyDocument(Document, frozen=True):
    """What would mend it, and what the what-if predicts of that."""

    edit: str
    predicted: str


class FindingDocument(Document, frozen=True):
    """One defect."""

    code: str
    name: str
    severity: Severity
    confidence: Confidence
    message: str
    path: str
    line: int
    column: int
    model: str
    module: str
    sites: list[SiteDocument]
    predicted: Figures
    measured: Figures
    verdict: Verdict | None
    remedies: list[RemedyDocument]
    consequences: list[str]


class SuppressedDocument(Document, frozen=True):
    """A finding that is kept but not counted, what silences it, and the reason that was given."""

    by: SilencedBy
    reason: str
    finding: FindingDocument


class SkippedDocument(Document, frozen=True):
    """Something that was not analysed, why, and the one line that would help."""

    path: str
    line: int
    name: str
    reason: str
    remedy: str


class ShardDocument(Document, frozen=True):
    """Which part of a run this is; `data` is for `gradlint merge` of the same version, and for nobody else."""

    index: int
    total: int
    gradlint: str
    data: str


class ReportDocument(Document, frozen=True):
    """A whole run, or the shard of one."""

    schema: Literal["gradlint/1"]
    summary: SummaryDocument
    models: list[ModelDocument]
    findings: list[FindingDocument]
    suppressed: list[SuppressedDocument]
    skipped: list[SkippedDocument]
    shard: ShardDocument | msgspec.UnsetType = msgspec.UNSET
    """Only of a run with `--shard`."""


def report_to_dict(report: Report) -> dict[str, Any]:
    """The published JSON as plain dictionaries and lists.

    Figures that JSON cannot hold ("inf", "nan") are strings, and characters that steer a terminal are replaced.
    """
    document = ReportDocument(
        schema=SCHEMA,
        summary=_summary(report),
        models=[model_document(model) for model in report.models],
        findings=[finding_document(finding) for finding in report.findings],
        suppressed=[
            SuppressedDocument(item.by, item.reason, finding_document(item.finding)) for item in report.suppressed
        ],
        skipped=[skipped_document(item) for item in report.skipped],
        shard=msgspec.UNSET if report.shard is None else _shard(report.shard),
    )
    plain: dict[str, Any] = tamed(msgspec.to_builtins(document))
    return plain


def _shard(shard: Shard) -> ShardDocument:
    return ShardDocument(shard.index, shard.total, shard.gradlint, shard.data)


def finding_to_dict(finding: Finding) -> dict[str, Any]:
    """One finding as the published JSON has it."""
    plain: dict[str, Any] = tamed(msgspec.to_builtins(finding_document(finding)))
    return plain


def json_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the published JSON."""
    schema = msgspec.json.schema(ReportDocument)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def finite_figures(figures: Figures) -> Figures:
    """The same figures, with "inf", "-inf" and "nan" in place of numbers that JSON cannot hold."""
    return {key: str(value) if _is_unwritable(value) else value for key, value in figures.items()}


def _is_unwritable(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _summary(report: Report) -> SummaryDocument:
    return SummaryDocument(
        errors=report.count(Severity.ERROR),
        warnings=report.count(Severity.WARNING),
        infos=report.count(Severity.INFO),
        refuted=len(report.findings) - len(report.standing),
        suppressed=len(report.suppressed) - len(report.baselined),
        baselined=len(report.baselined),
        files=report.files,
        models=len(report.models),
        unanalysed=len(report.unanalysed),
    )


def model_document(model: ModelSummary) -> ModelDocument:
    """One model as the published JSON has it."""
    attenuation = model.attenuation
    return ModelDocument(
        name=model.name,
        path=model.path,
        line=model.line,
        built=model.built,
        inputs=model.inputs,
        traced_by=model.traced_by,
        nodes=model.nodes,
        unknown_operators=list(model.unknown_operators),
        parameters=model.parameters,
        attenuation=None if _is_unwritable(attenuation) else attenuation,
        flow_not_known=model.flow_not_known,
        architecture=architecture_document(model.architecture),
    )


def architecture_document(made: Architecture | None) -> ArchitectureDocument | None:
    """What a model is made of, as the published JSON has it."""
    if made is None:
        return None
    modules = [module_document(part) for part in made.modules]
    return ArchitectureDocument(made.layers, made.depth, made.skips, made.norms, made.activations, modules)


def module_document(part: ModuleLoss) -> ModuleDocument:
    """One module as the published JSON has it."""
    return ModuleDocument(part.path, part.class_name, part.attenuation, part.is_reached)


def finding_document(finding: Finding) -> FindingDocument:
    """One finding as the published JSON has it."""
    where = finding.location
    measured = dict(finding.measured)
    if finding.verdict_reason:
        measured.setdefault("reason", finding.verdict_reason)
    return FindingDocument(
        code=finding.code,
        name=finding.name,
        severity=finding.severity,
        confidence=finding.confidence,
        message=finding.message,
        path=where.path,
        line=where.line,
        column=where.column,
        model=finding.model,
        module=finding.module,
        sites=[_site(site) for site in finding.sites],
        predicted=finite_figures(finding.predicted),
        measured=finite_figures(measured),
        verdict=finding.verdict,
        remedies=[RemedyDocument(remedy.edit, remedy.predicted) for remedy in finding.remedies],
        consequences=list(finding.consequences),
    )


def _site(site: Site) -> SiteDocument:
    where = site.location
    return SiteDocument(where.path, where.line, where.column, where.end_column, where.context, site.label)


def skipped_document(item: Skipped) -> SkippedDocument:
    """What was left out as the published JSON has it."""
    return SkippedDocument(item.path, item.line, item.name, item.reason, item.remedy)
