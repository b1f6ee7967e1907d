"""`gradlint baseline write` and `gradlint baseline prune`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gradlint.cli import completing, options
from gradlint.cli.messages import Bar
from gradlint.engine import baselines
from gradlint.report.style import count


@click.group("baseline")
def command() -> None:
    """Keep a file of known findings, so that only new ones count (`gradlint check --baseline PATH`)."""


def _options(function: Callable[..., int]) -> Callable[..., int]:
    for decorator in (
        click.option("-j", "--jobs", type=int, metavar="N", help="Processes that check models at once (default 1)."),
        options.settings,
        options.baseline,
        click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out, as .gitignore does it."),
        options.selection,
        click.option("--all-modules", is_flag=True, help="Check the parts of models on their own, too."),
        click.option("--probe", is_flag=True, help="Leave out what a real backward pass refutes."),
        click.argument("paths", nargs=-1, metavar="[PATHS]...", shell_complete=completing.paths),
    ):
        function = decorator(function)
    return function


@command.command("write")
@_options
def write(paths: tuple[str, ...], **given: Any) -> int:
    """Take up every finding of PATHS (default: the current directory).

    Entries of files that are not among PATHS stay. This RUNS the definitions of the files.
    """
    return _done(baselines.write, paths, given)


@command.command("prune")
@_options
def prune(paths: tuple[str, ...], **given: Any) -> int:
    """Take out entries that nothing in PATHS matches any more; add none.

    This RUNS the definitions of the files.
    """
    return _done(baselines.prune, paths, given)


def _done(work: Callable[..., baselines.Written], paths: tuple[str, ...], given: dict[str, Any]) -> int:
    paths = paths or (".",)
    config = options.config_of(paths, given)
    bar = Bar()
    try:
        done = work(paths, config, progress=bar)
    finally:
        bar.close()
    changes = [f"{number} {what}" for number, what in ((done.new, "new"), (done.moved, "moved")) if number]
    changes += [f"{done.removed} removed"] if done.removed else []
    lines = [f"{done.path}: {count(done.total, 'finding')} ({', '.join(changes) or 'nothing has changed'})"]
    if done.left_out:
        lines.append(f"Not taken up: {count(done.left_out, 'finding')} about comments or overrides: take those away.")
    if done.unanalysed:
        lines.append(f"Not analysed: {count(done.unanalysed, 'model')}; `gradlint check --show-skipped` says why.")
    if work is baselines.write and not config.baseline:
        place = _near(done.path)
        lines.append(f'From now on: gradlint check --baseline {place}, or baseline = "…" in the configuration.')
    options.write("".join(f"{line}\n" for line in lines), None)
    return 0


def _near(path: Path) -> str:
    """A path as others can use it, too: from the working directory, where it lies below that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
