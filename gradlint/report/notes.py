"""What every format for people says under a finding: predicted, measured, what would help."""

from collections.abc import Iterator, Sequence

from gradlint.core.finding import Finding, Remedy
from gradlint.core.report import ModelSummary, Report
from gradlint.core.text import tame
from gradlint.registry import STALE_BASELINE, UNUSED_IGNORE
from gradlint.report.style import plain


def origin(model: ModelSummary) -> str:
    """How a model was built, and what it was fed with."""
    return plain(f"{model.built or 'as it is'}; fed {model.inputs or 'as it is'}")


class Origins:
    """Which of a report's models a finding is about."""

    def __init__(self, report: Report) -> None:
        self._models: dict[str, list[ModelSummary]] = {}
        for model in report.models:
            self._models.setdefault(model.name, []).append(model)

    def of(self, finding: Finding) -> str:
        """How its model was built and fed; empty where it is about none (GL002, GL004) or one of several."""
        if finding.code in (UNUSED_IGNORE[0], STALE_BASELINE[0]):
            return ""
        named = self._models.get(finding.model, [])
        own = [model for model in named if model.path == finding.location.path] or named
        return origin(own[0]) if len(own) == 1 else ""


def notes(finding: Finding, built: str = "") -> Iterator[tuple[str, str]]:
    """Label and text; only lines to paste ("help") hold newlines. `built` is what `Origins` says of its model."""
    if built:
        yield "built", built
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
