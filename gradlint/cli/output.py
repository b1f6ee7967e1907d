"""Where the report of a run goes: standard output or a file, and `--report FORMAT=PATH` beside it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gradlint.cli import files, options
from gradlint.cli.formats import DOCUMENTS, FORMATS
from gradlint.core.errors import UsageError
from gradlint.core.report import Report
from gradlint.report.style import Style

_ONCE = ("github", "junit")
"""Formats that are more than what is printed (the step's summary), or that hold how long it took."""
_EXAMPLE = "--report sarif=gradlint.sarif"


@dataclass(frozen=True, slots=True)
class Output:
    """All places that one run is reported to."""

    format: str
    file: str | None
    reports: Mapping[str, str]
    """Format by path."""
    style: Style

    def write(self, report: Report) -> str:
        """Print the text, then write the other reports; gives the text."""
        text = FORMATS[self.format](report, self.style)
        options.write(text, self.file)
        self._write_beside(report)
        return text

    @property
    def is_repeatable(self) -> bool:
        """Whether printing the same text again is all that a second run does: no files, no time of day."""
        return not (self.file or self.reports or self.format in _ONCE)

    def fail(self, report: Report) -> None:
        """Tell of a run that failed as a whole; the texts for people leave that to the message on stderr."""
        if self.format in DOCUMENTS:
            options.write(FORMATS[self.format](report, self.style), self.file)
        self._write_beside(report)

    def _write_beside(self, report: Report) -> None:
        style = replace(self.style, color=False, width=None)
        for path, name in self.reports.items():
            files.save(FORMATS[name](report, style), path)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and "github" in (self.format, *self.reports.values()):
            files.append(FORMATS["markdown"](report, style), summary)


def output_of(given: Mapping[str, Any]) -> Output:
    """Where the command's options send the report.

    Raises:
        UsageError: an unknown format, no path, a path that is asked for twice or that cannot be written.
    """
    file = given["output_file"]
    reports = _requested(given["reports"], file)
    for path in filter(None, (file, *reports)):
        files.prepare(path)
    return Output(given["output_format"], file, reports, options.style_of(given))


def _requested(values: Iterable[str], output_file: str | None) -> dict[str, str]:
    """Format by path, as `--report FORMAT=PATH` asks for."""
    wanted: dict[str, str] = {}
    taken = {os.path.realpath(output_file)} if output_file else set()
    for value in values:
        name, _, path = value.partition("=")
        if name not in FORMATS:
            from gradlint.config import did_you_mean

            reason = f'--report "{value}": there is no format "{name}"'
            raise UsageError(reason, remedy=f"{did_you_mean(FORMATS, name)} ({_EXAMPLE})")
        if path in ("", "-"):
            raise UsageError(f'--report "{value}" names no file', remedy=f"as in {_EXAMPLE}")
        if os.path.realpath(path) in taken:
            raise UsageError(f"two reports would go to {path}", remedy="give each a file of its own")
        taken.add(os.path.realpath(path))
        wanted[path] = name
    return wanted
