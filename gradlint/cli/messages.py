"""What goes to stderr: errors and progress."""

import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from gradlint.cli import streams
from gradlint.core.errors import GradlintError
from gradlint.core.text import tame

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE = 1.0
"""Seconds of silence before a progress bar appears."""


def complain(error: GradlintError) -> None:
    """What went wrong, where, and the one line that would help."""
    lines = [f"error: {error.message}"]
    if error.location is not None:
        lines.append(f"  --> {error.location.file}:{error.location.line}:{error.location.column}")
    if error.remedy:
        lines.append(f"  = help: {error.remedy}")
    tell(tame("\n".join(lines)))


def tell(text: str) -> None:
    """Print a message; where stderr takes none, the exit code has to say it."""
    try:
        click.echo(text, err=True)
    except OSError:
        streams.give_up(sys.stderr.fileno())


class Bar:
    """A live bar on stderr, when that is a terminal and the work takes longer than a second."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._total = self._done = 0
        self._name = ""
        self._lock = threading.Lock()
        self._timer = threading.Timer(_PATIENCE, self._show)
        self._timer.daemon = True

    def begin(self, files: int) -> None:
        """So many files will be looked at."""
        self._total = files
        if sys.stderr.isatty():
            self._timer.start()

    def file(self, name: str) -> None:
        """The next file is done."""
        with self._lock:
            self._done += 1
            self._name = name
            if self._progress is not None:
                self._progress.update(self._task, completed=self._done, description=name)

    def close(self) -> None:
        """Take the bar away."""
        self._timer.cancel()
        with self._lock:
            self._total = 0
            if self._progress is not None:
                self._progress.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        with self._lock:
            if self._total:
                self._progress = Progress(console=Console(stderr=True), transient=True)
                self._task = self._progress.add_task(self._name or "checking", total=self._total, completed=self._done)
                self._progress.start()
