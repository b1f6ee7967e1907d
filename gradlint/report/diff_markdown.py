"""A comparison as Markdown, for a comment on a pull request."""

from collections.abc import Iterator

from gradlint.core.comparison import Comparison, ModelChange, Status
from gradlint.core.finding import Finding
from gradlint.report.differences import figures, shift_row, summary, title, verdict
from gradlint.report.markdown import HEADER, LARGEST, details_of, fit, omission, row, where_of
from gradlint.report.markup import code, prose
from gradlint.report.places import slashed
from gradlint.report.style import Style, count, sentence

_MOST_MODULES = 50


def diff_markdown(comparison: Comparison, style: Style | None = None) -> str:
    """The summary, each changed model, findings with details that fold; long ones are cut and say so."""
    style = style or Style()
    counting = comparison.counting
    rows = fit([row(finding) for finding in counting], LARGEST // 6, "further findings")
    others = fit(list(_others(comparison)), LARGEST // 6, "more is fixed, moved or not analysed")
    models = fit([_model(change) for change in comparison.changed], LARGEST // 3, "further models")
    details = fit([details_of(finding, style) for finding in counting], LARGEST // 4, "further details")
    table = f"\n**New or more severe findings**\n\n{HEADER}{rows}" if rows else ""
    return f"### gradlint diff\n\n{prose(summary(comparison))}\n{models}{table}{details}{others}"


def _model(change: ModelChange) -> str:
    where = code(f"{slashed(change.model.path)}:{change.model.line}")
    lines = [f"\n#### {prose(title(change))} — {change.status.value}\n", where]
    said = verdict(change)
    if said:
        lines.append(f"\n**{prose(said)}**")
    if change.status not in (Status.UNKNOWN_BEFORE, Status.UNKNOWN_NOW):
        lines.append("\n| | before | now | |\n|---|---|---|---|")
        lines += [f"| {' | '.join((name, *map(prose, values)))} |" for name, *values in figures(change)]
    if change.shifts and change.before is not None and change.after is not None:
        lines += ["\n" + _modules(change)]
    return "\n".join(lines) + "\n"


def _modules(change: ModelChange) -> str:
    ordered = sorted(change.shifts, key=lambda shift: shift.cost is None)
    lines = [f"<details><summary>{count(len(ordered), 'module')}, attenuation in decades</summary>\n"]
    lines.append("| module | class | before | now | |\n|---|---|---:|---:|---:|")
    for shift in ordered[:_MOST_MODULES]:
        name, *values = shift_row(shift)
        lines.append(f"| {code(name)} | {' | '.join(map(prose, values))} |")
    if len(ordered) > _MOST_MODULES:
        lines.append(f"\nand {count(len(ordered) - _MOST_MODULES, 'further module')}")
    return "\n".join([*lines, "\n</details>"])


def _others(comparison: Comparison) -> Iterator[str]:
    """What is fixed or moved, what was not analysed, and notes."""
    if comparison.fixed:
        yield f"\n**Fixed: {count(len(comparison.fixed), 'finding')}**\n\n"
    yield from (f"- {_short(finding)}\n" for finding in comparison.fixed)
    if comparison.moved:
        yield f"\n**Moved: {count(len(comparison.moved), 'finding')}**\n\n"
    yield from (f"- {_short(item.after)} (was {where_of(item.before)})\n" for item in comparison.moved)
    news = [item for item in comparison.skipped if item.is_model]
    if news:
        yield "\n**Not analysed**\n\n"
    yield from (omission(item, item.remedy) for item in news)
    yield from (f"\n**Note:** {prose(note)}\n" for note in comparison.notes)


def _short(finding: Finding) -> str:
    return f"{where_of(finding)} {prose(f'{finding.code} {finding.name}: {sentence(finding)}')}"
