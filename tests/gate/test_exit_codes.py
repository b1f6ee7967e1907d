"""Never green by accident."""

import pytest

from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Report, Skipped, Suppressed
from gradlint.gate.decision import ExitCode, exit_code

MODEL = ModelSummary("Net", "m.py", 1)
FAILED = Skipped("m.py", 1, "Net", "it raised")
PLACE = (Site(Location("m.py", 1)),)


def found(severity: Severity, verdict: Verdict | None = None) -> Finding:
    return Finding("GL101", "saturating-stack", severity, "bad", PLACE, verdict=verdict)


def report(*findings: Finding, **parts: object) -> Report:
    return Report(findings=findings, **{"models": (MODEL,), **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "fail_on", "code"),
    [
        (report(), "warning", 0),
        (report(found(Severity.ERROR)), "warning", 1),
        (report(found(Severity.WARNING)), "warning", 1),
        (report(found(Severity.WARNING)), "error", 0),
        (report(found(Severity.ERROR)), "error", 1),
        (report(found(Severity.ERROR)), "never", 0),
        (report(found(Severity.INFO)), "warning", 0),
        (report(found(Severity.ERROR, Verdict.REFUTED)), "warning", 0),
        (report(found(Severity.ERROR, Verdict.CONFIRMED)), "warning", 1),
        (report(found(Severity.ERROR, Verdict.INCONCLUSIVE)), "warning", 1),
        (report(suppressed=(Suppressed(found(Severity.ERROR)),)), "warning", 0),
        (report(skipped=(FAILED,)), "never", 0),
        (report(models=(), skipped=(FAILED,)), "never", 2),
        (report(models=(), skipped=(Skipped("m.py", 1, "", "empty", is_model=False),)), "warning", 0),
        (report(models=()), "warning", 0),
        (report(skipped=(Skipped("gone.py", 0, "", "no such file", fatal=True),)), "never", 2),
    ],
)
def test_exit_codes(given: Report, fail_on: str, code: int) -> None:
    assert exit_code(given, fail_on=fail_on) == code


def test_exit_zero_forgives_findings_but_not_errors() -> None:
    assert exit_code(report(found(Severity.ERROR)), exit_zero=True) is ExitCode.CLEAN
    assert exit_code(report(models=(), skipped=(FAILED,)), exit_zero=True) is ExitCode.ERROR
