"""`gradlint diff`."""

from dataclasses import replace
from typing import Any

import click

from gradlint.cli import options
from gradlint.cli.formats import DIFF_FORMATS
from gradlint.cli.messages import Bar
from gradlint.engine import revisions
from gradlint.gate.decision import diff_exit_code


@click.command("diff")
@click.argument("base")
@click.argument("head", required=False)
@options.selection
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "never"]), help="Exit 1 on new findings from here up."
)
@click.option("--max-loss", type=float, metavar="DECADES", help="Exit 1 where a change costs more, finding or not.")
@click.option("--all", "everything", is_flag=True, help="Check files that no change reaches, too.")
@options.settings
@click.option("-j", "--jobs", type=int, metavar="N", help="Processes that check models at once (default 1).")
@click.option("--output-format", type=click.Choice(list(DIFF_FORMATS)), default="text", help="What to print.")
@options.output
def command(base: str, head: str | None, everything: bool, max_loss: float | None, **given: Any) -> int:
    """Compare the models of two revisions: what a change did to their layers, their flow and their findings.

    BASE and HEAD are branches, tags or commits; without HEAD the working tree is compared. Looks at files below the
    current directory. This RUNS the definitions of the files of both, in a process of its own.
    """
    config = options.config_of(["."], given)
    bar = Bar()
    try:
        comparison = revisions.diff(base, head, config, everything=everything, progress=bar)
    finally:
        bar.close()
    lines = comparison.lines
    style = replace(options.style_of(given), source=lambda path, line: lines.get((path, line), ""))
    text = DIFF_FORMATS[given["output_format"]](comparison, style)
    options.write(text, given["output_file"])
    return diff_exit_code(comparison, fail_on=config.fail_on, max_loss=max_loss)
