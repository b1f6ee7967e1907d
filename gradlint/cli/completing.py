"""What a shell offers for the arguments of commands when TAB is pressed. No torch is imported for it."""

import click
from click.shell_completion import CompletionItem

from gradlint.core.errors import GradlintError


def paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders, as the shell itself completes them."""
    return [CompletionItem(incomplete, type="file")]


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders, as the shell itself completes them."""
    return [CompletionItem(incomplete, type="dir")]


def rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Codes and names of rules; behind a comma, those of the last part."""
    from gradlint import registry

    try:
        names = registry.load().names
    except GradlintError:  # a broken pack: the command itself says so, a prompt is no place for it
        return []
    before, comma, last = incomplete.rpartition(",")
    found = [
        CompletionItem(before + comma + code, help=name)
        for code, name in names.items()
        if code.startswith(last.upper())
    ]
    by_name = [
        CompletionItem(before + comma + name, help=code) for code, name in names.items() if name.startswith(last)
    ]
    return found if not last else found + by_name
