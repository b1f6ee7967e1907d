"""What goes to stderr: errors and progress."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from gradlint.core.errors import GradlintError

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 1.0
"""Seconds of silence before a progress bar appears."""


def complain(error: GradlintError) -> None:
    """What went wrong, where, and the one line that would help."""
    click.echo(f"error: {error.message}", err=True)
    if error.location is not None:
        click.echo(f"  --> {error.location.path}:{error.location.line}:{error.location.column}", err=True)
    if error.remedy:
        click.echo(f"  = help: {error.remedy}", err=True)


class Bar:
    """A live bar on stderr, when that is a terminal and the work takes longer than a second."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._began = time.monotonic()
        self._total = self._done = 0

    def begin(self, files: int) -> None:
        """So many files will be looked at."""
        self._total = files

    def file(self, name: str) -> None:
        """The next file is done."""
        self._done += 1
        if self._progress is None and sys.stderr.isatty() and time.monotonic() - self._began > _PATIENCE:
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("checking", total=self._total)
            self._progress.start()
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done, description=name)

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
