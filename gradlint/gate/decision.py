"""The one place that decides exit codes."""

from enum import IntEnum

from gradlint.core.comparison import Comparison, ModelChange, Status
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
    errors, nor models of which none could be analysed. (Of a shard it does: whether none could shows in the merge.)
    Models of which a baseline knows that they cannot be analysed count for nothing.
    """
    is_left_to_merge = exit_zero and report.shard is not None
    is_news = any(not item.is_known for item in report.unanalysed)
    is_nothing_known = is_news and not report.models and not is_left_to_merge
    if any(item.fatal for item in report.skipped) or is_nothing_known:
        return ExitCode.ERROR
    if exit_zero or fail_on == "never":
        return ExitCode.CLEAN
    threshold = Severity(fail_on).rank
    failing = any(finding.severity.rank >= threshold for finding in report.standing)
    return ExitCode.FINDINGS if failing else ExitCode.CLEAN


def diff_exit_code(comparison: Comparison, *, fail_on: str = "warning", max_loss: float | None = None) -> ExitCode:
    """Exit code of a `diff`: new findings, and known ones that have become more severe, count as those of `check` do.

    A change that costs more than `max_loss` decades counts whatever is found; so does one of which that is not known,
    where it was known before.
    """
    is_any_known = any(change.after is not None for change in comparison.models)
    unanalysed = any(item.is_model for item in comparison.skipped)
    if any(item.fatal for item in comparison.skipped) or (unanalysed and not is_any_known):
        return ExitCode.ERROR
    if max_loss is not None and any(_costs_more(change, max_loss) for change in comparison.models):
        return ExitCode.FINDINGS
    if fail_on == "never":
        return ExitCode.CLEAN
    threshold = Severity(fail_on).rank
    return ExitCode.FINDINGS if any(f.severity.rank >= threshold for f in comparison.counting) else ExitCode.CLEAN


def _costs_more(change: ModelChange, limit: float) -> bool:
    if change.status is Status.UNKNOWN_NOW:
        return True
    return change.loss is not None and change.loss > limit
