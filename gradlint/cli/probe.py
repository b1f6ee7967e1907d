"""`gradlint probe`."""

from typing import Any

import click

from gradlint import engine
from gradlint.cli import completing, options
from gradlint.report.table import table


@click.command("probe")
@click.argument("target", metavar="file.py:Class | pkg.mod:Class", shell_complete=completing.paths)
@options.settings
@options.output
def command(target: str, **given: Any) -> int:
    """Show the flow of one model by a real forward and backward pass, beside the predicted one."""
    config = options.config_of([target], given)
    flow = engine.tabulate(target, config, measured=True)
    options.write(table(flow, options.style_of(given)), given["output_file"])
    return 0
