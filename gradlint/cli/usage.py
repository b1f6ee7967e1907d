"""Errors of a whole run, so that a document on stdout or in a file stays a document, and says so."""

from collections.abc import Callable
from typing import TypeVar

from gradlint.core.errors import GradlintError
from gradlint.core.report import Report, Skipped

Value = TypeVar("Value")


def reported(run: Callable[[], Value], tell: Callable[[Report], None]) -> Value:
    """What `run` gives. Where it raises, `tell` is given a report that names the error as skipped."""
    try:
        return run()
    except GradlintError as error:
        place = error.location
        path, line = (place.path, place.line) if place is not None else ("", 1)
        tell(Report(skipped=(Skipped(path, line, "", error.message, error.remedy, fatal=True),)))
        raise
