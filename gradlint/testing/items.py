"""What the pytest plugin does with a file, once it is asked to."""

import os
from pathlib import Path

from gradlint import engine
from gradlint.config import Config, load
from gradlint.core.errors import AnalysisError, GradlintError
from gradlint.core.text import tame
from gradlint.engine.collect import Job, is_left_out
from gradlint.engine.reading import read
from gradlint.gate.decision import ExitCode, exit_code
from gradlint.report.full import full
from gradlint.report.style import Style


class UnhealthyError(Exception):
    """A file that does not pass; its text is what is printed."""


def defines_models(path: Path) -> bool:
    """Whether `gradlint check` of the file's folder would find models in it.

    A file that cannot be read or parsed counts: its test says so.

    Raises:
        UsageError: a configuration that cannot be meant.
    """
    config = _config(path)
    if is_left_out(path, config):
        return False
    try:
        return bool(read(Job(str(path.resolve()), str(path)), config).targets)
    except AnalysisError:
        return True


def check_file(path: Path) -> None:
    """Raise UnhealthyError where the command would not exit with 0."""
    try:
        config = _config(path)
        report = engine.check([_shown(path)], config)
    except GradlintError as error:
        raise UnhealthyError(told(error)) from error
    if exit_code(report, fail_on=config.fail_on) is not ExitCode.CLEAN:
        raise UnhealthyError(full(report, Style()).rstrip())


def told(error: GradlintError) -> str:
    """An error as the command prints it."""
    place = f"\n  --> {error.location.path}:{error.location.line}" if error.location is not None else ""
    remedy = f"\n  = help: {error.remedy}" if error.remedy else ""
    return tame(f"error: {error.message}{place}{remedy}")


def _config(path: Path) -> Config:
    return load(path.parent, environment=os.environ)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
