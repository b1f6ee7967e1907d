"""`gradlint merge`."""

from dataclasses import replace
from typing import Any

import click

from gradlint.cli import completing, options
from gradlint.cli.output import output_of
from gradlint.cli.usage import reported
from gradlint.engine import shards
from gradlint.gate.decision import exit_code


@click.command("merge")
@click.argument("paths", nargs=-1, required=True, metavar="REPORT...", shell_complete=completing.paths)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@options.reports
def command(paths: tuple[str, ...], **given: Any) -> int:
    """Make one report out of the JSON reports of all shards (`gradlint check --shard 3/8`).

    The result, exit code included, is that of a run on all files. Only the reports are read; nothing is run.
    """
    output = output_of(given)
    merged = reported(lambda: shards.merge(paths), output.fail)
    style = replace(output.style, source=lambda path, line: merged.lines.get((path, line), ""))
    replace(output, style=style).write(merged.report)
    return exit_code(merged.report, fail_on=merged.fail_on, exit_zero=given["exit_zero"])
