"""One line per finding: `path:line:col: error[GL101] saturating-stack Model: message [confirmed]`."""

from gradlint.core.report import Report
from gradlint.report.style import Style, plain, summary_line


def concise(report: Report, style: Style | None = None) -> str:
    """Findings, then what was not analysed, then a summary; one line each."""
    style = style or Style()
    lines = []
    for finding in report.findings:
        where = finding.location
        verdict = f" [{finding.verdict.value}]" if finding.verdict is not None else ""
        place = f"{where.path}:{where.line}:{where.column}"
        about = "" if not finding.model or finding.model in finding.message else f"{finding.model}: "
        kind = f"{finding.severity.value}[{finding.code}] {finding.name}"
        lines.append(plain(f"{place}: {kind} {about}{finding.message}{verdict}"))
    for model in report.models:
        if model.gap and not style.quiet:
            lines.append(plain(f"{model.path}:{model.line}: partly analysed: {model.name}: {model.gap}"))
    told = {(f.location.path, f.location.line) for f in report.findings if f.code == "GL001"}
    for item in report.skipped:
        is_told = (item.path, item.line) in told
        is_news = not is_told if item.is_model else report.files == 1
        if style.show_skipped or (is_news and not style.quiet):
            label = "not analysed" if item.is_model else "skipped"
            remedy = f" ({item.remedy})" if item.remedy else ""
            place = f"{item.path}:{item.line}" if item.line else item.path
            name = f"{item.name}: " if item.name else ""
            lines.append(plain(f"{place}: {label}: {name}{item.reason}{remedy}"))
    if not style.quiet:
        lines.append(summary_line(report))
    return "".join(f"{line}\n" for line in lines)
