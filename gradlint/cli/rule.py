"""`gradlint rule`."""

import click

from gradlint import registry
from gradlint.cli import completing, options
from gradlint.core.errors import UsageError
from gradlint.report.page import overview, page, rules_json


@click.command("rule")
@click.argument("name", required=False, shell_complete=completing.rules)
@click.option("--all", "every", is_flag=True, help="List all rules, as without a NAME.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="What to print.")
@options.output
def command(name: str | None, every: bool, output_format: str, **given: str | None) -> int:
    """Show the page of the rule NAME (a code or a name); without a NAME list all rules."""
    if every and name is not None:
        raise UsageError("name one rule, or ask for --all, not both", remedy=f"gradlint rule {name}")
    known = registry.load()
    rules = known.rules if name is None else (known.page(name),)
    shown = page(rules[0]) if name is not None else overview(rules)
    text = rules_json(rules) if output_format == "json" else shown
    options.write(text, given["output_file"])
    return 0
