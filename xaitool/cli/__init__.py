"""The command line. Importing it imports neither torch nor any command's own module."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import click

from xaitool.characters import harmless
from xaitool.cli.memory import keep_memory
from xaitool.cli.processes import rank, told
from xaitool.cli.signals import Terminated
from xaitool.errors import XaitoolError

# Command -> where it lives and its line in the overview, so that the overview imports none of them.
_COMMANDS = {
    "run": ("xaitool.cli.run:run", "Train, evaluate and explain as a recipe says."),
    "explain": ("xaitool.cli.explain:explain", "Explain new images with a run's model, or any other."),
    "report": ("xaitool.cli.report:report", "Make a run's report again, or compare two runs."),
    "recipe": ("xaitool.cli.recipe:recipe", "Check, show and describe recipes."),
    "plugins": ("xaitool.cli.plugins:plugins", "List, describe, check and start plugins."),
}


class _Lazy(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xaitool", message="xaitool %(version)s")
def cli() -> None:
    """Train an image classifier from one recipe, and explain its mistakes.

    \b
    Start here, no data and no network needed:
        xaitool run quickstart
    """  # noqa: D301 - click wants the backspace character itself


def main(arguments: list[str] | None = None) -> Any:
    """The program ``xaitool``: errors meant for the user are printed without a traceback, exit status 2.

    arguments: left out, the process is the program's own.
    """
    if arguments is None:
        keep_memory()
    try:
        cli.main(arguments, prog_name="xaitool", standalone_mode=False)
    except click.exceptions.Abort as error:
        if rank() == 0:
            _tell_notes(error.__cause__)
        sys.exit(143 if isinstance(error.__cause__, Terminated) else 130)
    except click.ClickException as error:
        if rank() == 0:
            _tell_mistake(arguments, error)
        sys.exit(error.exit_code)
    except XaitoolError as error:
        if words := told(error):
            click.echo(words, err=True)
            _tell_notes(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)


def _tell_mistake(arguments: list[str] | None, error: click.ClickException) -> None:
    """Of a command line that is wrong itself: how it goes, and what is wrong with it."""
    if isinstance(error, click.UsageError) and error.ctx:
        click.echo(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n", err=True)
    click.echo(f"error: {harmless(error.format_message())}", err=True)
    _tell_scripts(arguments, error)


def _tell_scripts(arguments: list[str] | None, error: click.ClickException) -> None:
    """``run --json`` promises one JSON object however it ends: here of a command line that is wrong itself."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"] and "--json" in given:
        from xaitool.summary import VERSION

        told = {"version": VERSION, "error": error.format_message(), "exit_status": error.exit_code}
        click.echo(json.dumps(told, indent=2))


def _tell_notes(error: BaseException | None) -> None:
    """What was noted on an error, such as how to go on after it."""
    for note in getattr(error, "__notes__", ()):
        click.echo(harmless(note), err=True)
