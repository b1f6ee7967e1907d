"""`gradlint rule`."""

import click

from gradlint import registry
from gradlint.cli import options
from gradlint.core.errors import UsageError
from gradlint.report.page import overview, page


@click.command("rule")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="List all rules.")
@options.output
def command(name: str | None, every: bool, **given: str | None) -> int:
    """Show the page of the rule NAME (a code or a name)."""
    if every == (name is not None):
        raise UsageError("name one rule, or ask for --all", remedy="gradlint rule GL101")
    known = registry.load()
    text = overview(known.rules) if name is None else page(known.page(name))
    options.write(text, given["output_file"])
    return 0
