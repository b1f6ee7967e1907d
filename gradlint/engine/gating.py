"""What a run makes of its findings: comments and configuration file by file, the baseline at the end."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Finding
from gradlint.core.location import Location
from gradlint.core.report import ModelSummary, Report, SilencedBy, Skipped, Suppressed
from gradlint.engine.collect import Job, collect
from gradlint.engine.reading import Reading, read_source
from gradlint.gate import known, suppressions
from gradlint.gate.baseline import Baseline
from gradlint.gate.configured import Configured, graded
from gradlint.gate.fingerprint import Fingerprints
from gradlint.gate.known import Found, Looked, Matched, Run
from gradlint.registry import UNANALYSABLE, UNUSED_IGNORE, Selection
from gradlint.worker.messages import TargetResult


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of one file."""

    path: str
    findings: tuple[Finding, ...] = ()
    models: tuple[ModelSummary, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    looked: Looked = field(default_factory=Looked)
    used: frozenset[int] = frozenset()
    """Numbers of the overrides that were of use."""
    heeded: frozenset[tuple[str, int]] = frozenset()
    """Path and line of the comments of other files that were."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A whole run before its baseline is asked. Paths are absolute."""

    given: tuple[str, ...]
    """What the user named."""
    jobs: tuple[Job, ...]
    missing: tuple[Skipped, ...]
    results: tuple[FileResult, ...]
    config: Config
    selection: Selection

    def report(self, seconds: float = 0.0) -> Report:
        """All files together, with the overrides that were of no use."""
        used = {number for result in self.results for number in result.used}
        idle = Configured(self.config, self.selection).idle(used, self._is_known)
        return joined(self.results, missing=self.missing, idle=idle, files=len(self.jobs), seconds=seconds)

    def matched(self, baseline: Baseline, never: Collection[str] = known.NEVER_KNOWN) -> tuple[Matched, Run]:
        """The run's findings held against a baseline; codes that are `never` known are new whatever it holds."""
        run = self._run(baseline)
        return known.match(baseline, self.found(baseline), run, never), run

    def found(self, baseline: Baseline) -> list[Found]:
        """All findings, with their hashes and the files of their models as the baseline would name them."""
        texts = {job.path: job for job in self.jobs}
        prints = Fingerprints(lambda path: text_of(texts.get(path) or Job(path, path)))
        return [
            Found(finding, baseline.shown(result.path), prints.of(finding))
            for result in self.results
            for finding in result.findings
        ]

    def _run(self, baseline: Baseline) -> Run:
        folders = [Path(name).resolve() for name in self.given if Path(name).is_dir()]
        return run_of(
            self.results,
            self.selection,
            baseline.shown,
            is_gone=lambda path: not os.path.exists(baseline.place(path)),  # noqa: PTH110 (a name may be too long for a Path)
            is_covered=lambda path: any(baseline.place(path).is_relative_to(folder) for folder in folders),
        )

    def _is_known(self, means: Callable[[str], bool]) -> bool:
        """Whether all files below the configuration's folder that are meant were checked as a whole."""
        whole = {result.path for result in self.results if result.looked.is_complete}
        looked_at = {result.path for result in self.results}
        below, _ = collect([self.config.root or "."], self.config)
        return all(path in whole for path in looked_at | {job.path for job in below} if means(path))


def joined(
    results: Sequence[FileResult],
    *,
    missing: tuple[Skipped, ...] = (),
    idle: tuple[Finding, ...] = (),
    files: int,
    seconds: float = 0.0,
) -> Report:
    """One report of all files; `idle` is what is said of overrides that were of no use.

    A comment in a file of blocks is of use where it silences what is found in a model of another file.
    """
    heeded = frozenset[tuple[str, int]]().union(*(result.heeded for result in results))
    findings = (finding for result in results for finding in result.findings)
    return Report(
        findings=tuple(finding for finding in findings if not _is_of_use(finding, heeded)) + idle,
        models=tuple(model for result in results for model in result.models),
        skipped=missing + tuple(item for result in results for item in result.skipped),
        suppressed=tuple(item for result in results for item in result.suppressed),
        files=files,
        seconds=seconds,
    )


def _is_of_use(complaint: Finding, heeded: Collection[tuple[str, int]]) -> bool:
    """Whether a finding calls a comment idle that another file's model needs."""
    place = complaint.location
    return complaint.code == UNUSED_IGNORE[0] and (place.path, place.line) in heeded


def run_of(
    results: Sequence[FileResult],
    selection: Selection,
    named: Callable[[str], str],
    *,
    is_gone: Callable[[str], bool],
    is_covered: Callable[[str], bool],
) -> Run:
    """What can be said of a baseline's entries after a run; `named` gives a path as entries have it."""
    findings = [(result.path, finding) for result in results for finding in result.findings]
    findings += [(result.path, item.finding) for result in results for item in result.suppressed]
    return Run(
        files={named(result.path): result.looked for result in results},
        codes=selection.codes,
        names=selection.names,
        is_gone=is_gone,
        is_covered=is_covered,
        explained={(named(path), finding.model, code) for path, finding in findings for code in finding.consequences},
    )


def with_baseline(report: Report, matched: Matched, run: Run, baseline: Baseline, selection: Selection) -> Report:
    """The report without what the baseline knows, and with what it should know no more."""
    stale = tuple(graded(finding, selection) for finding in known.stale(baseline, matched, run))
    report = without_known(report, matched, SilencedBy.BASELINE)
    return replace(report, findings=report.findings + stale, notes=report.notes + known.moves(matched))


def without_known(report: Report, matched: Matched, by: SilencedBy) -> Report:
    """The report with what is known put aside; what something else has put aside already stays there."""
    standing = {id(finding) for finding in report.findings}
    aside = replace(matched, known=tuple((item, path) for item, path in matched.known if id(item.finding) in standing))
    silenced = {id(item.finding) for item, _ in aside.known}
    return replace(
        report,
        findings=tuple(finding for finding in report.findings if id(finding) not in silenced),
        suppressed=report.suppressed + known.suppressed(aside, by),
        skipped=_with_known(report.skipped, [item.finding for item, _ in aside.known]),
    )


def _with_known(skipped: Iterable[Skipped], silenced: Iterable[Finding]) -> tuple[Skipped, ...]:
    """What could not be analysed, with a mark on models whose GL001 is known."""
    unanalysable = (finding for finding in silenced if finding.code == UNANALYSABLE[0])
    places = {(finding.location.path, finding.location.line, finding.model) for finding in unanalysable}
    return tuple(replace(item, is_known=(item.path, item.line, item.name) in places) for item in skipped)


def gate_file(
    job: Job, reading: Reading, results: Sequence[TargetResult], selection: Selection, configured: Configured
) -> FileResult:
    """Drop what is switched off, apply the file's comments and the configuration, sort by place."""
    findings = [finding for result in results for finding in result.findings if finding.code in selection.codes]
    models = tuple(result.summary for result in results if result.summary is not None)
    skipped = reading.skipped + tuple(item for result in results for item in result.skipped)
    is_complete = reading.is_whole and not any(item.is_model for item in skipped)
    gated = suppressions.apply(
        findings,
        job.path,
        lambda path: reading.source if path == job.path else text_of(Job(path, path)),
        names=selection.names,
        judged=selection.codes if is_complete else frozenset(),
        class_sites={model.name: Location(model.path, model.line) for model in models},
    )
    forgiven = {item.finding.model for item in gated.suppressed if item.finding.code == UNANALYSABLE[0]}
    kept = tuple(item for item in skipped if not (item.is_model and item.name in forgiven and not item.fatal))
    settled = configured.settle((graded(finding, selection) for finding in gated.findings), job.path)
    failed = {item.name for item in skipped}
    partly = frozenset(model.name for model in models if model.flow_not_known)
    return FileResult(
        job.path,
        tuple(sorted(settled.findings, key=_order)),
        models,
        kept,
        gated.suppressed + settled.suppressed,
        Looked(frozenset(model.name for model in models if model.name not in failed) - partly, partly, is_complete),
        settled.used,
        gated.heeded,
    )


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.location
    return (place.path, place.line, place.column, finding.code, finding.message)


def text_of(job: Job) -> str:
    """Text of a file, for its comments and statements; unreadable ones have none."""
    try:
        return read_source(job)
    except AnalysisError:
        return ""
