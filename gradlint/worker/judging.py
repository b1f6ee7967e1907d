"""Rules over one examined model: run, merged by cause, judged by the probe."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradlint import registry
from gradlint.api import Rule
from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Confidence, Finding
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.serialise import finite_figures
from gradlint.worker.causes import merge
from gradlint.worker.context import Context
from gradlint.worker.doubts import PARTLY_ANALYSED, doubts_on, findings_on
from gradlint.worker.messages import Settings, unprobed
from gradlint.worker.probing import probe_findings
from gradlint.worker.stages import OnStage, stage
from gradlint.worker.unanalysable import unanalysable

if TYPE_CHECKING:
    from gradlint.worker.analysis import Examined


_LOWER = {
    Confidence.HIGH: Confidence.MEDIUM,
    Confidence.MEDIUM: Confidence.LOW,
    Confidence.LOW: Confidence.LOW,
}
"""What is true of a guessed model may not be true of the user's."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Findings, the model's summary, and rules that failed."""

    findings: tuple[Finding, ...]
    summary: ModelSummary
    skipped: tuple[Skipped, ...]


def judge(examined: "Examined", settings: Settings, *, on_stage: OnStage) -> Judged:
    """Run the rules that are on, merge what has one cause, and probe where that is asked for."""
    scan = examined.scan
    context = Context(
        examined.built,
        examined.graph,
        examined.flow,
        target=examined.target,
        together=examined.together,
        losses=scan.losses if scan is not None else (),
        optimizer=examined.target.optimizer or (scan.optimizer if scan is not None else None),
        tree=scan.tree if scan is not None else None,
        is_whole=examined.fed is None or examined.fed.is_whole,
    )
    found: list[Finding] = []
    failed: list[Finding] = []
    skipped: list[Skipped] = []
    for rule in registry.load().rules:
        if rule.code not in settings.codes:
            continue
        try:
            found += _run(rule, context, settings)
        except Exception as error:  # noqa: BLE001 (a pack's rule may raise anything; the others still count)
            result = unanalysable(_failure(rule, error), examined.target, fatal=True)
            failed += result.findings
            skipped += result.skipped
    if PARTLY_ANALYSED[0] in settings.codes:
        doubts = doubts_on(examined.target, examined.built, examined.fed)
        found += [replace(finding, model=examined.target.name) for finding in findings_on(doubts)]
    findings = merge([_graded(finding, settings, is_guessed=examined.built.is_guessed) for finding in found])
    probed = ""
    if settings.probe:
        try:
            with stage("probe", examined.target, on_stage):
                findings, probed = probe_findings(findings, examined, settings)
        except AnalysisError as error:  # what was predicted still holds
            findings, probed = unprobed(findings, error.message)
    findings = tuple(
        replace(f, predicted=finite_figures(f.predicted), measured=finite_figures(f.measured)) for f in findings
    )
    summary = examined.summary(probed, tuple(context.near_misses))
    return Judged((*findings, *failed), summary, tuple(skipped))


def _run(rule: Rule, context: Context, settings: Settings) -> list[Finding]:
    context.enter(rule.name, settings.options.get(rule.name, {}))
    return [replace(finding, model=finding.model or context.target.name) for finding in rule.check(context)]


def _graded(finding: Finding, settings: Settings, *, is_guessed: bool) -> Finding:
    """As severe as the configuration has it, and as certain as the model is the user's own."""
    return replace(
        finding,
        severity=settings.severities.get(finding.code, finding.severity),
        confidence=_LOWER[finding.confidence] if is_guessed else finding.confidence,
    )


def _failure(rule: Rule, error: Exception) -> AnalysisError:
    message = f"the rule {rule.code} {rule.name} failed: {type(error).__name__}: {error}"
    remedy = f"please report it with the file; until then: --ignore {rule.code}"
    return AnalysisError(message, stage="rules", remedy=remedy)
