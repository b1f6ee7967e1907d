"""The one place that decides exit codes."""

from enum import IntEnum

from gradlint.core.finding import Severity
from gradlint.core.report import Report


class ExitCode(IntEnum):
    """How a run ended, for the shell."""

    CLEAN = 0
    FINDINGS = 1
    """Findings at or above `--fail-on`."""
    ERROR = 2
    """Usage, configuration or internal error, or models were found and none could be analysed."""
    INTERRUPTED = 130
    """Ctrl-C, as shells have it."""


def exit_code(report: Report, *, fail_on: str = "warning", exit_zero: bool = False) -> ExitCode:
    """Exit code of a `check`: never green by accident.

    Refuted and suppressed findings and those of severity `info` never count. `exit_zero` forgives findings, but not
    errors, nor models of which none could be analysed.
    """
    if any(item.fatal for item in report.skipped) or (report.unanalysed and not report.models):
        return ExitCode.ERROR
    if exit_zero or fail_on == "never":
        return ExitCode.CLEAN
    threshold = Severity(fail_on).rank
    failing = any(finding.severity.rank >= threshold for finding in report.standing)
    return ExitCode.FINDINGS if failing else ExitCode.CLEAN
