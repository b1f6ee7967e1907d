"""Markdown for comments on pull requests and for step summaries: a table, details that fold, what was not analysed."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.report import Report, Skipped, Suppressed
from gradlint.report.markup import code, fenced, prose
from gradlint.report.notes import Origins, notes
from gradlint.report.places import slashed
from gradlint.report.style import Style, count, sentence, summary_line, untold

LARGEST = 60_000
"""Characters: a comment on GitHub holds 65,536."""
_SIGNS = {Severity.ERROR: "🔴 error", Severity.WARNING: "🟠 warning", Severity.INFO: "🔵 note"}
HEADER = "| | rule | where | finding | probe |\n|---|---|---|---|---|\n"


def markdown(report: Report, style: Style | None = None) -> str:
    """The summary, a table of findings, details of each, and what was not analysed; long ones are cut and say so."""
    style = style or Style()
    omissions = fit(list(_omissions(report, style)), LARGEST // 4, "more was not analysed or is silenced")
    rows = fit([row(finding) for finding in report.findings], LARGEST // 4, "further findings")
    room = LARGEST - len(omissions) - len(rows)
    origins = Origins(report)
    details = fit(
        [details_of(finding, style, origins.of(finding)) for finding in report.findings],
        room - 1_000,
        "further details",
    )
    table = f"\n{HEADER}{rows}" if rows else ""
    return f"### gradlint\n\n{prose(summary_line(report))}\n{table}{details}{omissions}"


def fit(blocks: Sequence[str], room: int, noun: str) -> str:
    """As many blocks as have room, and how many had none."""
    fitting = sum(1 for end in accumulate(map(len, blocks)) if end <= room)
    left = len(blocks) - fitting
    more = f"\n*Left out here for want of room: {noun} ({left}).*\n" if left else ""
    return "".join(blocks[:fitting]) + more


def row(finding: Finding) -> str:
    """One finding in the table under `HEADER`."""
    cells = (_sign(finding), _rule(finding), where_of(finding), prose(sentence(finding)), _verdict(finding))
    return f"| {' | '.join(cells)} |\n"


def _sign(finding: Finding) -> str:
    return "⚪ refuted" if finding.verdict is Verdict.REFUTED else _SIGNS[finding.severity]


def _verdict(finding: Finding) -> str:
    return "" if finding.verdict is None else finding.verdict.value


def _rule(finding: Finding) -> str:
    return prose(f"{finding.code} {finding.name}")


def where_of(finding: Finding) -> str:
    """File and line of a finding."""
    return code(f"{slashed(finding.location.file)}:{finding.location.line}")


def details_of(finding: Finding, style: Style, built: str = "") -> str:
    """One finding's places and notes, folded; `built` says how its model came about."""
    lines = [f"\n<details><summary>{_sign(finding)} {_rule(finding)}: {prose(sentence(finding))}</summary>\n"]
    for site in dict.fromkeys(finding.sites):
        where = site.location
        context = f" in {code(where.context)}" if where.context else ""
        label = f": {prose(site.label)}" if site.label else ""
        lines.append(f"- **at** {code(f'{slashed(where.file)}:{where.line}')}{context}{label}")
        source = style.source(where.file, where.line).strip()
        lines += [fenced(source, "python", indent="  ")] if source else []
    for label, text in notes(finding, built):
        lines.append(_note(label, text))
    return "\n".join([*lines, "\n</details>\n"])


def _note(label: str, text: str) -> str:
    """Lines to paste stand in a block of their own."""
    first, _, rest = text.partition("\n")
    return f"- **{label}** {prose(first)}" + (f"\n{fenced(rest, 'toml', indent='  ')}" if rest else "")


def _omissions(report: Report, style: Style) -> Iterator[str]:
    """What was not analysed, and what is silenced."""
    news = [item for item in report.skipped if item.is_model or style.show_skipped or report.files == 1]
    gaps = [model for model in report.models if model.gap]
    if news or gaps:
        yield "\n**Not analysed**\n\n"
    untold_of = frozenset(untold(report))
    yield from (omission(item, item.remedy if item in untold_of or not item.is_model else "") for item in news)
    for model in gaps:
        yield f"- {code(f'{slashed(model.file)}:{model.line}')} {prose(model.name)} in part: {prose(model.gap)}\n"
    for note in report.notes:
        yield f"\n**Note:** {prose(note)}\n"
    if report.suppressed:
        yield f"\n**{count(len(report.suppressed), 'finding')} silenced or known**\n\n"
    yield from map(_silenced, report.suppressed)


def omission(item: Skipped, remedy: str) -> str:
    """What was left out and why; the remedy is empty where a finding above holds it."""
    where = f"{slashed(item.file)}:{item.line}" if item.line else slashed(item.path)
    place = code(where) if where else "**run**"
    name = f"{prose(item.name)}: " if item.name else ""
    first, _, rest = remedy.partition("\n")
    paste = f"{fenced(rest, 'toml', indent='  ')}\n" if rest else ""
    return f"- {place} {name}{prose(item.reason)}{f' — {prose(first)}' if first else ''}\n{paste}"


def _silenced(item: Suppressed) -> str:
    reason = f" ({prose(f'{item.by.words}: {item.reason}' if item.reason else item.by.words)})"
    return f"- {where_of(item.finding)} {_rule(item.finding)}: {prose(sentence(item.finding))}{reason}\n"
