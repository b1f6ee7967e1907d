"""`gradlint config`."""

from typing import Any

import click

from gradlint.cli import completing, options
from gradlint.report.config_schema import config_schema
from gradlint.report.settings import settings


@click.command("config")
@click.argument("path", default=".", shell_complete=completing.paths)
@click.option("--schema", is_flag=True, help="Print the JSON schema of the configuration instead, for editors.")
@options.settings
@options.output
def command(path: str, schema: bool, **given: Any) -> int:
    """Show the settings in force for PATH, and where each came from."""
    text = config_schema() if schema else settings(options.config_of([path], given))
    options.write(text, given["output_file"])
    return 0
