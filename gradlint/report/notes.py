"""What every format for people says under a finding: predicted, measured, what would help."""

from collections.abc import Iterator, Sequence

from gradlint.core.finding import Finding, Remedy
from gradlint.core.text import tame
from gradlint.report.style import plain


def notes(finding: Finding) -> Iterator[tuple[str, str]]:
    """Label and text; only lines to paste ("help") hold newlines."""
    predicted = finding.predicted.get("summary")
    if predicted:
        yield "predicted", plain(str(predicted))
    if finding.verdict is not None:
        measured = plain(str(finding.measured.get("summary") or "by a real backward pass"))
        reason = f": {plain(finding.verdict_reason)}" if finding.verdict_reason else ""
        yield "measured", f"{measured} — {finding.verdict.value}{reason}"
    elif finding.verdict_reason:
        yield "measured", plain(finding.verdict_reason)
    if finding.remedies:
        yield "help", _remedies(finding.remedies)
    for note in finding.notes:
        yield "note", plain(note)
    if finding.consequences:
        yield "note", f"also explains {plain(', '.join(finding.consequences))}"


def _remedies(remedies: Sequence[Remedy]) -> str:
    """On one line; lines to paste each on their own."""
    if len(remedies) == 1 and "\n" in remedies[0].edit:
        return tame(remedies[0].edit)
    return plain(" · ".join(map(in_words, remedies)))


def in_words(remedy: Remedy) -> str:
    """The edit and what is predicted of it."""
    return f"{remedy.edit} → {remedy.predicted}" if remedy.predicted else remedy.edit
