"""GitHub's workflow commands: annotations on the changed lines, then the full text for the log."""

from collections import Counter
from collections.abc import Iterator

from gradlint.core.finding import Finding, Severity
from gradlint.core.report import Report, Skipped
from gradlint.registry import UNANALYSABLE
from gradlint.report.full import full
from gradlint.report.notes import Origins, notes
from gradlint.report.places import digest, in_cell, line_of, slashed
from gradlint.report.style import Style, count, plain, sentence, untold

_MOST = 10
"""Annotations of one level that GitHub shows per step."""
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_NOUNS = {"error": "error", "warning": "warning", "notice": "note"}

Annotation = tuple[str, str]
"""Level and whole command."""


def github(report: Report, style: Style | None = None) -> str:
    """Commands for findings that stand and for what was not analysed; how many were left out; the full text."""
    style = style or Style()
    shown: Counter[str] = Counter()
    lines = []
    for level, command in _annotations(report):
        shown[level] += 1
        if shown[level] <= _MOST:
            lines.append(command)
    rest = [count(shown[level] - _MOST, noun) for level, noun in _NOUNS.items() if shown[level] > _MOST]
    if rest:
        lines.append(f"Left out as annotations: {', '.join(rest)}. GitHub shows {_MOST} of each level; all are below.")
    return "".join(f"{line}\n" for line in lines) + _inert(full(report, style))


def _annotations(report: Report) -> Iterator[Annotation]:
    origins = Origins(report)
    for finding in report.standing:
        yield _finding(finding, origins.of(finding))
    for item in untold(report):
        yield _omission(item)


def _finding(finding: Finding, built: str) -> Annotation:
    where = finding.location
    has_end = where.cell is None and where.end_column is not None and where.end_column > where.column
    properties = {
        "title": f"{finding.code} {finding.name}",
        "file": slashed(where.path),
        "line": str(line_of(where)),
        "col": str(max(1, where.column) if where.cell is None else 1),
        **({"endColumn": str(where.end_column)} if has_end else {}),
    }
    headline = in_cell(where) + sentence(finding)
    text = "\n".join([headline, *(f"{label}: {said}" for label, said in notes(finding, built))])
    return _command(_LEVELS[finding.severity], properties, text)


def _omission(item: Skipped) -> Annotation:
    place = {"file": slashed(item.path), "line": str(line_of(item))} if item.line else {}
    about = f"{item.name}: " if item.name else ""
    where = f"{item.path}: " if not item.line and item.path else ""
    remedy = f"\nhelp: {item.remedy}" if item.remedy else ""
    text = plain(f"{in_cell(item)}{where}{about}not analysed: {item.reason}") + remedy
    return _command("error" if item.fatal else "warning", {"title": " ".join(UNANALYSABLE), **place}, text)


def _command(level: str, properties: dict[str, str], text: str) -> Annotation:
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return level, f"::{level} {given}::{_data(text)}"


def _data(text: str) -> str:
    text = "\n".join(map(plain, text.split("\n")))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _inert(text: str) -> str:
    """The text between commands that keep GitHub from obeying what it says: source lines of strangers are in it."""
    token = f"gradlint-{digest(text)}"
    return f"::stop-commands::{token}\n{text}::{token}::\n" if text else ""
