"""The text of a comparison: figures of each changed model, code frames of new findings, one line for all others."""

import io
from collections.abc import Iterator

from gradlint.core.comparison import Comparison, ModelChange, Status
from gradlint.core.finding import Finding
from gradlint.core.report import Skipped
from gradlint.report.differences import figures, shift_row, summary, title, verdict
from gradlint.report.full import Line, finding_lines
from gradlint.report.style import Style, console, count, plain, sentence

_MOST_MODULES = 8
_COLOR = {Status.ADDED: "green", Status.REMOVED: "red", Status.UNKNOWN_NOW: "yellow", Status.UNKNOWN_BEFORE: "yellow"}


def diff(comparison: Comparison, style: Style | None = None) -> str:
    """Models first, then findings, then what was not compared and a summary."""
    from rich.text import Text

    style = style or Style()
    sink = io.StringIO()
    out = console(style, sink)
    for line in _lines(comparison, style):
        out.print(Text.assemble(*line), no_wrap=True, overflow="ignore", crop=False)
    return sink.getvalue()


def _lines(comparison: Comparison, style: Style) -> Iterator[Line]:
    for change in comparison.changed:
        yield from _model(change)
        yield [("", "")]
    for finding in comparison.new:
        yield [("new ", "bold"), *next(lines := finding_lines(finding, style))]
        yield from lines
        yield [("", "")]
    for item in comparison.worse:
        yield [(f"was {item.before.severity.value}, now ", "bold"), *next(lines := finding_lines(item.after, style))]
        yield from lines
        yield [("", "")]
    for finding in comparison.fixed:
        yield [("fixed: ", "bold green"), (_short(finding), "")]
    for item in comparison.moved:
        yield [("moved: ", "bold"), (f"{_short(item.after)} (was {_place(item.before)})", "")]
    if comparison.fixed or comparison.moved:
        yield [("", "")]
    yield from (_omission(item) for item in comparison.skipped if item.is_model)
    yield from ([("note: ", "bold"), (plain(note), "")] for note in comparison.notes)
    yield [(summary(comparison), "bold")]
    if any(change.shifts for change in comparison.models):
        yield [("One decade is a factor of ten: a cost of 3 decades leaves a thousandth of the gradient.", "dim")]


def _model(change: ModelChange) -> Iterator[Line]:
    where = f"{change.model.file}:{change.model.line}"
    yield [
        (title(change), "bold"),
        (f"  {plain(where)}  ", "blue"),
        (change.status.value, _COLOR.get(change.status, "cyan")),
    ]
    rows = list(figures(change))
    width = max((len(row[0]) for row in rows), default=0)
    for name, old, new, more in rows if change.status not in (Status.UNKNOWN_BEFORE, Status.UNKNOWN_NOW) else []:
        sides = (old, new) if change.before and change.after else (old or new,)
        both = " → ".join(dict.fromkeys(part or "none" for part in sides))
        tail = f" ({more})" if more and change.before and change.after else ""
        yield [(f"  {name:<{width}}  ", "dim"), (plain(f"{both}{tail}"), "")]
    said = verdict(change)
    if said:
        yield [(f"  {plain(said)}", "bold red" if change.worst is not None else "bold green")]
    if change.before is not None and change.after is not None:
        yield from _modules(change)


def _modules(change: ModelChange) -> Iterator[Line]:
    """The modules that the change does most to; those that only came or went are last, and first to be left out."""
    ordered = sorted(change.shifts, key=lambda shift: shift.cost is None)
    rows = [tuple(map(plain, shift_row(shift))) for shift in ordered[:_MOST_MODULES]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for path, class_name, old, new, more in rows:
        names = f"    {path:<{widths[0]}}  {class_name:<{widths[1]}}"
        yield [(names, ""), (f"  {old:>{widths[2]}}   {new:>{widths[3]}}   {more:>{widths[4]}}", "")]
    left = len(change.shifts) - len(rows)
    if left:
        yield [(f"    and {count(left, 'further module')}", "dim")]


def _omission(item: Skipped) -> Line:
    name = f" {plain(item.name)}" if item.name else ""
    return [("not analysed: ", "yellow"), (plain(f"{item.file}:{item.line}{name}: {item.reason}"), "")]


def _short(finding: Finding) -> str:
    return f"{_place(finding)} {finding.code} {finding.name} {sentence(finding)}"


def _place(finding: Finding) -> str:
    return plain(f"{finding.location.file}:{finding.location.line}")
