"""`gradlint flow`."""

from typing import Any

import click

from gradlint import engine
from gradlint.cli import completing, options
from gradlint.report.table import table


@click.command("flow")
@click.argument("target", metavar="file.py:Class | pkg.mod:Class", shell_complete=completing.paths)
@options.settings
@options.output
def command(target: str, **given: Any) -> int:
    """Show the predicted flow of one model, per layer and per time step."""
    config = options.config_of([target], given)
    flow = engine.tabulate(target, config, measured=False)
    options.write(table(flow, options.style_of(given)), given["output_file"])
    return 0
