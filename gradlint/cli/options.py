"""Options that several commands share, and what becomes of them."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gradlint.cli import completing, files, streams
from gradlint.cli.formats import FORMATS
from gradlint.config import Config, listed, load
from gradlint.core.errors import UsageError
from gradlint.engine.run import base_folder
from gradlint.report.style import Style

Command = TypeVar("Command", bound=Callable[..., Any])
_LIST = "a code, a prefix or a name; repeat it, or separate by commas"
_SETTINGS = ("select", "extend-select", "ignore", "exclude", "extend-exclude")


def selection(command: Command) -> Command:
    """`--select`, `--extend-select`, `--ignore`."""
    for name, text in (
        ("--ignore", f"Switch rules off ({_LIST})."),
        ("--extend-select", "Switch on further rules, preview and pedantic ones too."),
        ("--select", "Run these rules only."),
    ):
        command = click.option(name, multiple=True, metavar="RULE", help=text, shell_complete=completing.rules)(command)
    return command


def settings(command: Command) -> Command:
    """What the commands that run a model share."""
    for decorator in (
        click.option("--isolated", is_flag=True, help="Read no configuration file."),
        click.option(
            "--config",
            "config_",
            multiple=True,
            metavar='PATH|"KEY=VALUE"',
            help="Configuration to use.",
            shell_complete=completing.paths,
        ),
        click.option("--memory", type=float, metavar="GIB", help="Memory limit per model (default 4)."),
        click.option("--timeout", type=float, metavar="SECONDS", help="Time limit per model (default 60)."),
        click.option("--optimizer", type=click.Choice(["sgd", "adam"]), help="What the model is trained with."),
    ):
        command = decorator(command)
    return command


def baseline(command: Command) -> Command:
    """`--baseline`."""
    text = "Known findings: only others count (default: the key `baseline`)."
    return click.option("--baseline", metavar="PATH", help=text, shell_complete=completing.paths)(command)


def reports(command: Command) -> Command:
    """What a report of findings is written as, where to, and how much of it."""
    for decorator in (
        click.option("-q", "--quiet", is_flag=True, help="Findings only."),
        click.option("-v", "--verbose", is_flag=True, help="Say why rules did not fire, and how models were built."),
        click.option("--show-skipped", is_flag=True, help="List everything that was left out, and why."),
        output,
        click.option(
            "--report",
            "reports",
            multiple=True,
            metavar="FORMAT=PATH",
            help="Write a report to a file, too; repeatable.",
        ),
        click.option("--output-format", type=click.Choice(list(FORMATS)), default="full", help="What to print."),
    ):
        command = decorator(command)
    return command


def output(command: Command) -> Command:
    """`--color`, `-o`."""
    for decorator in (
        click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours."),
        click.option("-o", "--output-file", type=click.Path(dir_okay=False), help="Write there instead of stdout."),
    ):
        command = decorator(command)
    return command


def config_of(paths: Sequence[str], given: Mapping[str, Any]) -> Config:
    """The settings in force: command line > environment > file.

    Args:
        paths: what is checked; the configuration is looked for from there upwards.
        given: the command's options by parameter name; those that are None or empty were not given.
    """
    explicit, inline = _config_options(given.get("config_") or ())
    overrides: dict[str, Any] = dict(inline)
    for name, value in given.items():
        key = name.replace("_", "-")
        if key in _SETTINGS and value:
            overrides[key] = listed(",".join(value), f"--{key}")
        elif (key in ("timeout", "memory", "optimizer", "fail-on", "jobs", "baseline") and value is not None) or (
            key == "probe" and value
        ):
            overrides[key] = value
    return load(
        base_folder(paths),
        overrides=overrides,
        environment=os.environ,
        explicit=explicit,
        isolated=bool(given.get("isolated")),
    )


def _config_options(values: Sequence[str]) -> tuple[Path | None, dict[str, Any]]:
    """A configuration file, and settings given as `key = value`."""
    import tomli

    from gradlint.config import reject_unknown

    path: Path | None = None
    inline: dict[str, Any] = {}
    for value in values:
        if _is_file(value):
            path = Path(value)
        elif "=" in value:
            try:
                inline.update(tomli.loads(value))
            except tomli.TOMLDecodeError as error:
                reason = f'--config "{value}" is not TOML: {error}'
                raise UsageError(reason, remedy='as in --config "timeout = 30"') from error
            except RecursionError as error:
                raise UsageError("--config: nested too deeply") from error
        else:
            raise UsageError(f"--config: there is no file {value}", remedy='name a file, or write "key = value"')
    reject_unknown(inline, "--config", "")
    return path, inline


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except OSError:  # longer than the name of any file
        return False


def style_of(given: Mapping[str, Any]) -> Style:
    """How text is rendered: NO_COLOR, FORCE_COLOR, the terminal and its width are honoured."""
    is_terminal = sys.stdout.isatty() and not given.get("output_file")
    choice = given.get("color", "auto")
    forced = os.environ.get("FORCE_COLOR", "") not in ("", "0")
    wanted = is_terminal and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    if not os.environ.get("NO_COLOR") and forced:
        wanted = True
    return Style(
        color=wanted if choice == "auto" else choice == "always",
        width=_width() if is_terminal else None,
        verbose=bool(given.get("verbose")),
        quiet=bool(given.get("quiet")),
        show_skipped=bool(given.get("show_skipped")),
    )


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def write(text: str, output_file: str | None) -> None:
    """To the file, or to stdout; a reader that has left (`| head`) is no error, and UTF-8 where a locale knows less."""
    if output_file is not None:
        files.save(text, output_file)
        return
    try:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        streams.give_up(sys.stdout.fileno())
    except OSError as error:
        streams.give_up(sys.stdout.fileno())
        raise UsageError(f"cannot write to standard output: {error.strerror}", remedy="-o FILE") from error
