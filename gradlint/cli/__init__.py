"""The command line: one file per command, each a thin layer over a function of the engine."""

import sys
from collections.abc import Sequence

from gradlint.cli import streams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code. A run that would print what it printed before does only that."""
    from gradlint.cli import replay

    streams.reopen()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = replay.attempt(given)
    except OSError as error:
        if not streams.is_refusal(error):
            raise
        code = None
    if code is not None:
        return code
    from gradlint.cli.group import run

    return run(given)
