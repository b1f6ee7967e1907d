"""Paths as the user gave them, instead of the absolute ones that the run works with."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gradlint.core.finding import Finding
from gradlint.core.location import Site
from gradlint.core.report import Report
from gradlint.engine.collect import Job


class Shown:
    """Rewrites every path of a report."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._given = {job.path: job.shown for job in jobs}
        self._here = Path.cwd()

    def path(self, path: str) -> str:
        """As given; of other files relative to the working directory, where they lie in it."""
        if path in self._given:
            return self._given[path]
        full = Path(path)
        return str(full.relative_to(self._here)) if full.is_relative_to(self._here) else path

    def finding(self, finding: Finding) -> Finding:
        """A finding with all of its sites rewritten."""
        sites = tuple(Site(replace(s.location, path=self.path(s.location.path)), s.label) for s in finding.sites)
        return replace(finding, sites=sites)

    def report(self, report: Report) -> Report:
        """A report with every path rewritten."""
        return replace(
            report,
            findings=tuple(self.finding(finding) for finding in report.findings),
            models=tuple(replace(model, path=self.path(model.path)) for model in report.models),
            skipped=tuple(replace(item, path=self.path(item.path)) for item in report.skipped),
            suppressed=tuple(replace(item, finding=self.finding(item.finding)) for item in report.suppressed),
        )
