"""`gradlint check`."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from gradlint import engine
from gradlint.cli import completing, options
from gradlint.cli.messages import Bar
from gradlint.cli.output import output_of
from gradlint.cli.usage import reported
from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.core.report import Report
from gradlint.engine.revisions import check_since
from gradlint.gate.decision import exit_code
from gradlint.report.style import remember


@click.command("check")
@click.argument(
    "paths", nargs=-1, metavar="[PATHS | file.py:Class | pkg.mod:Class | -]...", shell_complete=completing.paths
)
@click.option("--probe", is_flag=True, help="Confirm or refute each finding by a real backward pass.")
@options.selection
@click.option("--fail-on", type=click.Choice(["error", "warning", "never"]), help="Exit 1 from here on up.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out, as .gitignore does it.")
@click.option("--with-dependents", is_flag=True, help="PATHS changed: check the files that import them, too.")
@options.baseline
@click.option("--since", metavar="REV", help="Check what has changed since; only findings that are new count.")
@click.option("--shard", metavar="N/OF", help="Check one part of the files, as in 3/8; `gradlint merge` joins reports.")
@options.settings
@click.option("-j", "--jobs", type=int, metavar="N", help="Processes that check models at once (default 1).")
@options.reports
@click.option("--stdin-filename", metavar="PATH", help="Name of the file that `-` reads from standard input.")
def command(paths: tuple[str, ...], **given: Any) -> int:
    """Predict where the gradients of models will starve or explode. PATHS default to the current directory.

    This RUNS the definitions of the files, in a process of its own.
    """
    output = output_of(given)
    report, config = reported(lambda: _check(paths or (".",), given), output.fail)
    output.write(report)
    return exit_code(report, fail_on=config.fail_on, exit_zero=given["exit_zero"])


def _check(paths: tuple[str, ...], given: Mapping[str, Any]) -> tuple[Report, Config]:
    name = given["stdin_filename"] or "stdin.py"
    config = options.config_of([name if path == "-" else path for path in paths], given)
    stdin = None
    if "-" in paths:
        stdin = (name, _standard_input())
        remember(name, stdin[1].decode(errors="replace"))
    notes: tuple[str, ...] = ()
    if given["with_dependents"]:
        widened = engine.with_dependents(paths, config)
        paths, notes = widened.paths, widened.notes
    bar = Bar()
    try:
        if given["shard"] is not None:
            return _check_shard(paths, config, given, bar, notes), config
        if given["since"] is not None:
            report = check_since(paths, config, given["since"], progress=bar, stdin=stdin)
        else:
            report = engine.check(paths, config, progress=bar, stdin=stdin)
    finally:
        bar.close()
    return replace(report, notes=notes + report.notes), config


def _check_shard(
    paths: tuple[str, ...], config: Config, given: Mapping[str, Any], bar: Bar, notes: tuple[str, ...]
) -> Report:
    from gradlint.engine import shards

    shard = shards.parse(given["shard"])
    if given["since"] is not None:
        raise UsageError(
            "--shard does not go with --since, which has few files to check", remedy="leave one of them out"
        )
    return shards.check_shard(paths, config, shard, progress=bar, notes=notes)


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}", remedy="gradlint check - < FILE") from error
