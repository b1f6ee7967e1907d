"""The group of commands, and the one place where errors become messages and exit codes."""

from collections.abc import Sequence
from importlib import import_module
from io import StringIO

import click

from gradlint import __version__
from gradlint.cli import streams
from gradlint.cli.messages import complain, tell
from gradlint.core.errors import GradlintError
from gradlint.gate.decision import ExitCode

_COMMANDS = {
    "baseline": "Keep a file of known findings, so that only new ones count.",
    "check": "Predict where the gradients of models will starve or explode.",
    "config": "Show the settings in force and where each came from.",
    "diff": "Compare the models of two revisions: layers, flow, new and fixed findings.",
    "flow": "Show the predicted flow of one model, per layer and per time step.",
    "init": "Write a first configuration and the pre-commit hook.",
    "merge": "Make one report of those of all shards of a check.",
    "probe": "Show the flow of one model by a real backward pass, beside the predicted one.",
    "rule": "Show a rule's page, or list all rules.",
}


class Commands(click.Group):
    """Imports a command's file only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"gradlint.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with "did you mean" for a command that does not exist."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from gradlint.config import did_you_mean

            ctx.fail(f'there is no command "{args[0]}"; {did_you_mean(_COMMANDS, args[0])}')
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="gradlint")
def group() -> None:
    """gradlint predicts the gradient flow of PyTorch models, before you train.

    Checking a model file RUNS its definitions (imports, classes, constructors, the forward pass), in a process of its
    own with limits on time and memory. Do not check files that you would not run.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    streams.reopen()
    try:
        return int(group.main(args=arguments, prog_name="gradlint", standalone_mode=False) or 0)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        tell(shown.getvalue().rstrip())
        return ExitCode.ERROR
    except GradlintError as error:
        complain(error)
        return ExitCode.ERROR
    except (KeyboardInterrupt, click.Abort):
        tell("\ninterrupted")
        return ExitCode.INTERRUPTED
    except OSError as error:
        if not streams.is_refusal(error):
            raise
        streams.give_up(1)
        complain(GradlintError(f"cannot write to standard output: {error.strerror}"))
        return ExitCode.ERROR
