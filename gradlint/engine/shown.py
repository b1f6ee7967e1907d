"""Paths as the user gave them and lines of notebooks in their cells, instead of what the run works with."""

import linecache
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Finding
from gradlint.core.location import Location, Site, file_of
from gradlint.core.report import ModelSummary, Report, Skipped
from gradlint.discovery.cells import SUFFIX, Cells
from gradlint.engine.collect import Job
from gradlint.engine.gating import FileResult
from gradlint.engine.reading import read_cells
from gradlint.registry import UNANALYSABLE

Results = TypeVar("Results", Report, FileResult)
_LINE = re.compile(r"\bline (\d+)\b")


class Shown:
    """Rewrites every path of a report, and every line of a notebook."""

    def __init__(self, jobs: Iterable[Job], *, temporary: tuple[Path, Path] | None = None) -> None:
        """`temporary` is a folder that the run worked in, and the user's own that it stands for."""
        self._jobs = {job.path: job for job in jobs}
        self._cells: dict[str, Cells | None] = {}
        self._here = Path.cwd()
        self._temporary = temporary

    def path(self, path: str) -> str:
        """As given; of other files relative to the working directory, where they lie in it."""
        if path in self._jobs:
            return self._jobs[path].shown
        full = Path(path)
        if self._temporary is not None and full.is_relative_to(self._temporary[0]):
            full = self._temporary[1] / full.relative_to(self._temporary[0])
            path = str(full)
        return str(full.relative_to(self._here)) if full.is_relative_to(self._here) else path

    def location(self, place: Location) -> Location:
        """A place; in a notebook by its cell, and the line in it."""
        line, cell, row = self._line(place.path, place.line)
        return replace(place, path=self.path(place.path), line=line, cell=cell, row=row)

    def _line(self, path: str, line: int) -> tuple[int, int | None, int | None]:
        """A line, the cell that it is counted in, and the row of the file that it stands in."""
        cells = self._cells_of(path)
        found = cells.place(line) if cells is not None else None
        return (line, None, None) if found is None or cells is None else (found[1], found[0], cells.row(*found))

    def _cells_of(self, path: str) -> Cells | None:
        """The cells of a notebook, whose texts code frames can show from then on; None for other files."""
        if not path.endswith(SUFFIX):
            return None
        if path not in self._cells:
            try:
                self._cells[path] = read_cells(self._jobs.get(path) or Job(path, path))
            except AnalysisError:  # the report tells of it, at a line of the file itself
                self._cells[path] = None
            else:
                self._remember(path)
        return self._cells[path]

    def _remember(self, path: str) -> None:
        cells = self._cells[path]
        for cell in cells.cells if cells is not None else ():
            name, lines = file_of(self.path(path), cell.number), cell.text.split("\n")
            linecache.cache[name] = (len(cell.text), None, [f"{line}\n" for line in lines], name)

    def text(self, text: str, path: str, *, is_quoted: bool = False) -> str:
        """A sentence that may name a file by its absolute path, and lines of a notebook.

        Args:
            text: the sentence.
            path: the file that it is about.
            is_quoted: whether it holds what an error of the user's code says, whose lines may be of anything.
        """
        cells = self._cells_of(path)
        if cells is not None:
            name = re.compile(rf"(?<={re.escape(Path(path).name)}):(\d+)")
            text = name.sub(lambda found: _in_cell(cells, found, ":cell {0}:{1}"), text)
            text = text if is_quoted else _LINE.sub(lambda found: _in_cell(cells, found, "line {1} of cell {0}"), text)
        if len(path) > 1:
            text = text.replace(path, self.path(path))
        if self._temporary is not None:
            text = text.replace(str(self._temporary[0]), str(self._temporary[1]))
        return text

    def finding(self, finding: Finding) -> Finding:
        """A finding with all of its sites rewritten, and what it says of them."""
        own = finding.location.path
        is_quoted = finding.code == UNANALYSABLE[0]
        return replace(
            finding,
            message=self.text(finding.message, own, is_quoted=is_quoted),
            sites=tuple(Site(self.location(site.location), self.text(site.label, own)) for site in finding.sites),
            remedies=tuple(replace(remedy, edit=self.text(remedy.edit, own)) for remedy in finding.remedies),
            notes=tuple(self.text(note, own) for note in finding.notes),
        )

    def skipped(self, item: Skipped) -> Skipped:
        """What was left out, with its path rewritten."""
        reason = self.text(item.reason, item.path, is_quoted=item.is_model)
        line, cell, row = self._line(item.path, item.line)
        remedy = self.text(item.remedy, item.path)
        return replace(item, path=self.path(item.path), line=line, cell=cell, row=row, reason=reason, remedy=remedy)

    def model(self, model: ModelSummary) -> ModelSummary:
        """A model with its path rewritten, and what it is built and fed like."""
        line, cell, row = self._line(model.path, model.line)
        built, inputs = self.text(model.built, model.path), self.text(model.inputs, model.path)
        return replace(model, path=self.path(model.path), line=line, cell=cell, row=row, built=built, inputs=inputs)

    def report(self, report: Results) -> Results:
        """A report, or what came of one file, with every path rewritten."""
        return replace(
            report,
            findings=tuple(self.finding(finding) for finding in report.findings),
            models=tuple(self.model(model) for model in report.models),
            skipped=tuple(self.skipped(item) for item in report.skipped),
            suppressed=tuple(replace(item, finding=self.finding(item.finding)) for item in report.suppressed),
        )


def _in_cell(cells: Cells, found: "re.Match[str]", words: str) -> str:
    place = cells.place(int(found[1]))
    return found[0] if place is None else words.format(*place)
