"""The command line: one file per command, each a thin layer over a function of the engine."""

from gradlint.cli.main import main

__all__ = ["main"]
