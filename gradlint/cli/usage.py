"""Errors of a whole run, so that JSON on stdout stays JSON."""

from collections.abc import Callable
from typing import TypeVar

from gradlint.cli.options import write
from gradlint.core.errors import GradlintError
from gradlint.core.report import Report, Skipped

Value = TypeVar("Value")


def reported(output_format: str, output_file: str | None, run: Callable[[], Value]) -> Value:
    """What `run` gives. Where it raises, the JSON format still prints a document, which names the error as skipped."""
    try:
        return run()
    except GradlintError as error:
        if output_format == "json":
            from gradlint.report.json import json

            place = error.location
            path, line = (place.path, place.line) if place is not None else ("", 1)
            item = Skipped(path, line, "", error.message, error.remedy, fatal=True)
            write(json(Report(skipped=(item,))), output_file)
        raise
