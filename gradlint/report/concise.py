"""One line per finding: `path:line:col: error[GL101] saturating-stack Model: message [confirmed]`."""

from gradlint.core.report import Report
from gradlint.report.notes import origin
from gradlint.report.style import Style, plain, sentence, summary_line, untold


def concise(report: Report, style: Style | None = None) -> str:
    """Findings, then what was not analysed, then a summary; one line each."""
    style = style or Style()
    lines = []
    for finding in report.findings:
        where = finding.location
        verdict = f" [{finding.verdict.value}]" if finding.verdict is not None else ""
        place = f"{where.file}:{where.line}:{where.column}"
        kind = f"{finding.severity.value}[{finding.code}] {finding.name}"
        lines.append(f"{plain(place)}: {kind} {sentence(finding)}{verdict}")
    for model in report.models:
        if style.verbose:
            lines.append(f"{plain(f'{model.file}:{model.line}: built: {model.name}')}: {origin(model)}")
        if model.gap and not style.quiet:
            lines.append(plain(f"{model.file}:{model.line}: partly analysed: {model.name}: {model.gap}"))
    news = frozenset(untold(report))
    for item in report.skipped:
        is_news = item in news if item.is_model else report.files == 1
        if style.show_skipped or (is_news and not style.quiet):
            label = "not analysed" if item.is_model else "skipped"
            remedy = f" ({item.remedy})" if item.remedy else ""
            place = f"{item.file}:{item.line}" if item.line else item.path
            name = f"{item.name}: " if item.name else ""
            lines.append(plain(f"{place}: {label}: {name}{item.reason}{remedy}"))
    if not style.quiet:
        lines += [plain(f"note: {note}") for note in report.notes]
        lines.append(summary_line(report))
    return "".join(f"{line}\n" for line in lines)
