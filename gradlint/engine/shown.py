"""Paths as the user gave them, instead of the absolute ones that the run works with."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gradlint.core.finding import Finding
from gradlint.core.location import Site
from gradlint.core.report import ModelSummary, Report, Skipped
from gradlint.engine.collect import Job
from gradlint.engine.gating import FileResult

Results = TypeVar("Results", Report, FileResult)


class Shown:
    """Rewrites every path of a report."""

    def __init__(self, jobs: Iterable[Job], *, temporary: tuple[Path, Path] | None = None) -> None:
        """`temporary` is a folder that the run worked in, and the user's own that it stands for."""
        self._given = {job.path: job.shown for job in jobs}
        self._here = Path.cwd()
        self._temporary = temporary

    def path(self, path: str) -> str:
        """As given; of other files relative to the working directory, where they lie in it."""
        if path in self._given:
            return self._given[path]
        full = Path(path)
        if self._temporary is not None and full.is_relative_to(self._temporary[0]):
            full = self._temporary[1] / full.relative_to(self._temporary[0])
            path = str(full)
        return str(full.relative_to(self._here)) if full.is_relative_to(self._here) else path

    def text(self, text: str, path: str) -> str:
        """A sentence that may name a file by its absolute path."""
        if len(path) > 1:
            text = text.replace(path, self.path(path))
        if self._temporary is not None:
            text = text.replace(str(self._temporary[0]), str(self._temporary[1]))
        return text

    def finding(self, finding: Finding) -> Finding:
        """A finding with all of its sites rewritten, and what it says of them."""
        own = finding.location.path
        return replace(
            finding,
            message=self.text(finding.message, own),
            sites=tuple(
                Site(replace(site.location, path=self.path(site.location.path)), self.text(site.label, own))
                for site in finding.sites
            ),
            remedies=tuple(replace(remedy, edit=self.text(remedy.edit, own)) for remedy in finding.remedies),
            notes=tuple(self.text(note, own) for note in finding.notes),
        )

    def skipped(self, item: Skipped) -> Skipped:
        """What was left out, with its path rewritten."""
        reason, remedy = self.text(item.reason, item.path), self.text(item.remedy, item.path)
        return replace(item, path=self.path(item.path), reason=reason, remedy=remedy)

    def model(self, model: ModelSummary) -> ModelSummary:
        """A model with its path rewritten."""
        return replace(model, path=self.path(model.path))

    def report(self, report: Results) -> Results:
        """A report, or what came of one file, with every path rewritten."""
        return replace(
            report,
            findings=tuple(self.finding(finding) for finding in report.findings),
            models=tuple(self.model(model) for model in report.models),
            skipped=tuple(self.skipped(item) for item in report.skipped),
            suppressed=tuple(replace(item, finding=self.finding(item.finding)) for item in report.suppressed),
        )
