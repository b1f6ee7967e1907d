"""`gradlint init`."""

from pathlib import Path

import click

from gradlint import config
from gradlint.cli import completing, files, options, placement
from gradlint.cli.messages import Bar, tell
from gradlint.cli.placement import Change, shown
from gradlint.core.errors import UsageError
from gradlint.core.text import tame
from gradlint.engine.survey import Survey, survey
from gradlint.report.starter import starter
from gradlint.report.style import count


@click.command("init")
@click.argument("folder", default=".", shell_complete=completing.folders)
@click.option("--diff", "--dry-run", "dry_run", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--no-pre-commit", is_flag=True, help="Leave .pre-commit-config.yaml alone.")
def command(folder: str, dry_run: bool, no_pre_commit: bool) -> int:
    """Write a commented [tool.gradlint] into the nearest pyproject.toml, and the pre-commit hook.

    Model files, the optimizer and folders to leave out are found by reading; nothing is run. What the files hold stays
    as it is, and what is there already is left alone. Where there is no pyproject.toml, it writes gradlint.toml.
    """
    here = Path(folder)
    if not here.is_dir():
        raise UsageError(f'there is no folder "{folder}"', remedy="name a folder, or run it in your repository")
    changes, said = _plan(here.resolve(), with_hook=not no_pre_commit)
    if dry_run:
        options.write("".join(change.diff() for change in changes), None)
        if not changes:
            tell("\n".join(said[:-1]))
        return 0
    for change in changes:
        files.prepare(str(change.path))
    for change in changes:
        change.write()
    options.write("".join(f"{line}\n" for line in said), None)
    return 0


def _plan(folder: Path, *, with_hook: bool) -> tuple[list[Change], list[str]]:
    """What changes, and what is told of it."""
    changes: list[Change] = []
    said: list[str] = []
    known = config.find(folder)
    if known is not None:
        said.append(f"{shown(known)} configures gradlint already: it is left as it is.")
    else:
        path = placement.settings_file(folder)
        found = _surveyed(path.parent)
        table = "tool.gradlint" if path.name == "pyproject.toml" else ""
        changes.append(placement.with_section(path, starter(found, table=table)))
        said += [f"{shown(path)}: {f'[{table}] added' if table else 'written'}", *_told(found)]
    root = placement.repository_of(folder)
    if with_hook and root is not None:
        hook = placement.with_hook(root)
        name = shown(root / placement.HOOKS)
        added = f"{name}: hook added; `pre-commit install` switches it on"
        said.append(added if hook is not None else f"{name} has the hook already.")
        changes += [hook] if hook is not None else []
    elif with_hook:
        said.append("No git repository: no pre-commit hook was written.")
    return changes, [*said, "Next: gradlint check"]


def _surveyed(folder: Path) -> Survey:
    bar = Bar()
    try:
        return survey(folder, progress=bar)
    finally:
        bar.close()


def _told(found: Survey) -> list[str]:
    lines = [f"    {count(len(found.models), 'model')} in {count(found.files, 'file')}"]
    if found.optimizer:
        lines.append(f"    optimizer: {found.optimizer}")
    if found.excluded:
        lines.append(f"    left out: {', '.join(f'{tame(name)} ({why})' for name, why in found.excluded.items())}")
    if found.unfilled:
        one = len(found.unfilled) == 1
        lines.append(
            f"    {count(len(found.unfilled), 'model')} {'takes' if one else 'take'} arguments that nothing here gives:"
            " see the entries at the end of the section"
        )
    if not found.is_complete:
        lines.append("    so many models that not all were looked at for arguments: `gradlint check` names the others")
    if found.unread:
        lines.append(f"    not read: {', '.join(map(tame, found.unread))}")
    return lines
