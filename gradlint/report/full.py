"""The full text: one labelled code frame per finding, in the manner of rustc."""

import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from gradlint.core.finding import Finding, Verdict
from gradlint.core.location import Site
from gradlint.core.report import ModelSummary, Report, Skipped
from gradlint.report.notes import Origins, notes, origin
from gradlint.report.style import Style, console, count, plain, sentence, summary_line, untold

_COLOR = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_VERDICT_COLOR = {Verdict.CONFIRMED: "green", Verdict.REFUTED: "dim", Verdict.INCONCLUSIVE: "yellow", None: "yellow"}
_LARGEST_CARETS = 80

Piece = tuple[str, str]
"""Text and the style that it is printed in."""
Line = list[Piece]


def full(report: Report, style: Style | None = None) -> str:
    """Every finding with its code frame, then what was not analysed, a summary and what to do next."""
    from rich.text import Text

    style = style or Style()
    sink = io.StringIO()
    out = console(style, sink)
    for line in _lines(report, style):
        text = Text.assemble(*line)
        indent = _hanging_indent(line)
        if style.width is not None and indent and len(text) > style.width:
            for number, part in enumerate(text.wrap(out, max(20, style.width - indent))):
                part.rstrip()
                out.print(Text(" " * indent if number else "") + part, no_wrap=True, overflow="ignore", crop=False)
        else:
            out.print(text, no_wrap=True, overflow="ignore", crop=False)
    return sink.getvalue()


def _lines(report: Report, style: Style) -> Iterator[Line]:
    origins, told = Origins(report), set[str]()
    for finding in report.findings:
        built = origins.of(finding)
        yield from finding_lines(finding, style, "" if f"{finding.model} {built}" in told else built)
        yield [("", "")]
        told.add(f"{finding.model} {built}")
    if style.verbose:
        yield from _models(report.models)
    if style.quiet:
        return
    yield from _skipped(report, style)
    for note in report.notes:
        yield [("note: ", "bold"), (plain(note), "")]
    yield [(summary_line(report), "bold")]
    for hint in _hints(report):
        yield [(hint, "dim")]


def finding_lines(finding: Finding, style: Style, built: str = "") -> Iterator[Line]:
    """One finding with its code frame and notes; `built` says how its model came about."""
    refuted = finding.verdict is Verdict.REFUTED
    base = "dim" if refuted else ""
    color = "dim" if refuted else _COLOR[finding.severity.value]
    title = f"{finding.severity.value}[{finding.code}]" + (" (refuted)" if refuted else "")
    yield [(title, color), (f": {finding.name}  ", base or "bold"), (sentence(finding), base)]
    gutter = max(len(str(site.location.line)) for site in finding.sites)
    yield from _frame(finding.sites, gutter, color, base, style)
    for label, text in notes(finding, built):
        tone = _VERDICT_COLOR[finding.verdict] if label == "measured" else ""
        title = f"{label:<9}: " if label in ("measured", "built") else f"{label}: "
        text, *more = text.split("\n")
        yield [(" " * (gutter + 1) + "= ", base or "blue"), (title, base or "bold"), (plain(text), base or tone)]
        yield from ([(" " * (gutter + 3) + plain(line), base or tone)] for line in more)


def _frame(sites: Sequence[Site], gutter: int, color: str, base: str, style: Style) -> Iterator[Line]:
    rule = base or "blue"
    blank = " " * gutter
    for number, site in enumerate(_unique(sites)):
        where = site.location
        arrow = "-->" if number == 0 else ":::"
        context = f" in {plain(where.context)}" if where.context else ""
        yield [(f"{blank}{arrow} ", rule), (f"{plain(where.file)}:{where.line}:{where.column}{context}", base)]
        source = style.source(where.file, where.line)
        if number == 0:
            yield [(f"{blank} |", rule)]
        if source.strip():
            yield [(f"{where.line:>{gutter}} | ", rule), (plain(source), base)]
            if number == 0 or site.label:
                yield [(f"{blank} | ", rule), (_carets(site, source), color)]
        elif site.label:
            yield [(f"{blank} | ", rule), (plain(site.label), color)]
    yield [(f"{blank} |", rule)]


def _unique(sites: Sequence[Site]) -> list[Site]:
    return list(dict.fromkeys(sites))


def _carets(site: Site, source: str) -> str:
    """Carets under the site's columns, to the end of the line where it has no end; its label behind them."""
    where = site.location
    last = len(source.rstrip())
    start = max(where.column - 1, len(source) - len(source.lstrip()))
    end = last if where.end_column is None else min(where.end_column - 1, last)
    end = max(start + 1, end)
    before = len(plain(source[:start]))
    carets = "^" * min(_LARGEST_CARETS, len(plain(source[start:end])) or 1)
    return f"{' ' * before}{carets} {plain(site.label)}".rstrip()


def _models(models: Sequence[ModelSummary]) -> Iterator[Line]:
    for model in models:
        decades = "unknown" if model.attenuation is None else f"{model.attenuation:.1f} decades"
        traced = f"{count(model.nodes, 'node')} by {model.traced_by}"
        facts = f"built {origin(model)}; {traced}; {model.parameters:,} parameters; attenuation {decades}"
        yield [(f"{plain(model.file)}:{model.line} {plain(model.name)}: ", "bold"), (plain(facts), "")]
        if model.unknown_operators:
            yield [("    operators not known: ", ""), (plain(", ".join(model.unknown_operators)), "yellow")]
        if model.probed:
            yield [(f"    probed: {plain(model.probed)}", "")]
        for miss, times in Counter(model.near_misses).items():
            again = f" ({times} times)" if times > 1 else ""
            yield [(f"    did not fire: {plain(miss)}{again}", "dim")]
    if models:
        yield [("", "")]


def _skipped(report: Report, style: Style) -> Iterator[Line]:
    """What was not analysed and why; models that a GL001 above tells of are only counted."""
    news = frozenset(untold(report))
    listed = [item for item in report.skipped if style.show_skipped or _is_news(item, news, report)]
    models = sum(1 for item in report.unanalysed if item.name)
    files = len(report.unanalysed) - models
    parts = [f"{models} of {count(len(report.models) + models, 'model')}"] if models else []
    parts += [count(files, "file")] if files else []
    known = sum(item.is_known for item in report.unanalysed)
    if parts:
        yield [(f"Not analysed: {', '.join(parts)}{f' ({known} known)' if known else ''}.", "bold yellow")]
    for model in report.models:
        if model.gap:
            yield [("partly analysed: ", "yellow"), (f"{plain(model.name)} ({plain(model.gap)})", "")]
    for item in listed:
        where = plain(f"{item.file}:{item.line}" if item.line else item.path)
        name = f" {plain(item.name)}" if item.name else ""
        label, color = ("not analysed: ", "yellow") if item.is_model else ("skipped: ", "dim")
        yield [(label, color), (f"{where}{name}: {plain(item.reason)}", "")]
        if item.remedy:
            first, *more = item.remedy.split("\n")
            yield [("    help: ", "bold"), (plain(first), "")]
            yield from ([("    " + plain(line), "")] for line in more)


def _is_news(item: Skipped, news: Collection[Skipped], report: Report) -> bool:
    if item.is_model:
        return item in news
    return report.files == 1


def _hints(report: Report) -> Iterator[str]:
    standing = [finding for finding in report.standing if finding.code not in ("GL001", "GL002", "GL003", "GL004")]
    if not standing:
        return
    if not any(model.probed for model in report.models):
        yield "Confirm by a real backward pass: the same command with --probe."
    if any("decades" in text for finding in standing for text in _said(finding)):
        yield "One decade is a factor of ten: a loss of 3 decades leaves a thousandth of the gradient."
    code, *others = dict.fromkeys(finding.code for finding in standing)
    more = f" (or {', '.join(others)})" if others else ""
    yield f"Read more: gradlint rule {code}{more}. Silence one line: # gradlint: ignore[{code}] reason"


def _said(finding: Finding) -> Iterator[str]:
    yield finding.message
    yield str(finding.predicted.get("summary") or "")
    yield from (site.label for site in finding.sites)
    yield from (remedy.predicted for remedy in finding.remedies)


def _hanging_indent(line: Line) -> int:
    """Columns by which wrapped notes are indented; frames are never wrapped."""
    if len(line) == 3 and line[0][0].endswith("= "):
        return len(line[0][0]) + len(line[1][0])
    return 0
