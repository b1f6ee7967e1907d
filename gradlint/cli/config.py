"""`gradlint config`."""

from typing import Any

import click

from gradlint.cli import options
from gradlint.report.settings import settings


@click.command("config")
@click.argument("path", default=".")
@options.settings
@options.output
def command(path: str, **given: Any) -> int:
    """Show the settings in force for PATH, and where each came from."""
    options.write(settings(options.config_of([path], given)), given["output_file"])
    return 0
