"""``xaitool run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaitool.cli.options import allow_code_option, set_option
from xaitool.cli.processes import rank, start_the_others
from xaitool.cli.signals import Terminated, terminable
from xaitool.errors import XaitoolError

if TYPE_CHECKING:
    from xaitool.engine.progress import Display
    from xaitool.results import Run


@click.command()
@click.argument("recipe", required=False)
@set_option
@allow_code_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    metavar="FOLDER",
    help="Where run folders are made.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the run's folder at the end.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object instead: what came of the run, or its error. On stderr, warnings and errors only. "
    "Goes before --quiet.",
)
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="RUN",
    help="Go on with a run that was interrupted, from its folder, instead of beginning one.",
)
@click.option(
    "--force",
    is_flag=True,
    help="With --resume: go on although the recipe (by --set) or the version of a plugin or library is another now. "
    "What a changed recipe has no part in is kept, all else is done again.",
)
@click.pass_context
def run(
    context: click.Context,
    recipe: str | None,
    assignments: tuple[str, ...],
    allow_code: bool,
    out: Path,
    quiet: bool,
    as_json: bool,
    resume: Path | None,
    force: bool,
) -> None:
    """Train, evaluate and explain as RECIPE says.

    RECIPE is a YAML file, or the name of one that comes with xaitool (see `xaitool recipe list`).

    Everything goes into a new folder FOLDER/NAME/TIME: weights, predictions, maps, figures and report.html. What
    happens meanwhile and what came of it are told on stderr; the folder, on stdout.

    A run that was interrupted (by Ctrl-C, a kill, an error, a full disk) goes on with --resume: what was finished is
    not done again, and the training goes on from its last checkpoint.

    Started by torchrun or accelerate launch, all processes have their part in the run (docs/scaling.md).

    The exit status is 2 where something is wrong, 3 where an explainer falls short of explain.require, 130 after
    Ctrl-C and 143 after SIGTERM.

    \b
    Examples:
        xaitool run quickstart
        xaitool run recipes/resnet18_cifar10.yaml --set train.epochs=5
        xaitool run quickstart --json | jq .accuracy
        xaitool run --resume runs/quickstart/2026-11-22_10-15-00
    """  # noqa: D301 - click wants the backspace character itself
    if (recipe is None) == (resume is None):
        raise click.UsageError("Give a RECIPE to begin a run, or --resume RUN to go on with one.")
    if resume is None and force:
        raise click.UsageError("--force goes with --resume.")
    if resume is not None and context.get_parameter_source("out") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--out does not go with --resume: a run goes on in its own folder.")
    start_the_others()

    def carry_out(display: Display) -> Run:
        with terminable():
            if resume is not None:
                return _resume(resume, assignments, allow_code, force, display)
            return _run(str(recipe), assignments, allow_code, out, display)

    if rank() != 0:
        from xaitool.engine.progress import Silent

        carry_out(Silent())
    elif as_json:
        _for_scripts(carry_out)
    else:
        from xaitool.engine.progress import Display, Silent

        click.echo(carry_out(Silent() if quiet else Display()).folder)


def _run(recipe: str, assignments: tuple[str, ...], allow_code: bool, out: Path, display: Display) -> Run:
    from xaitool.recipe.resolve import Recipe

    checked = Recipe.load(recipe, set=assignments, allow_code=allow_code)
    # Only now, torch and all that comes with it: a mistake in the recipe is told at once.
    from xaitool.engine import run as engine

    with redirect_stdout(sys.stderr):  # what a plugin or its library prints is no part of the output
        return engine.run(checked, out=out, display=display)


def _resume(folder: Path, assignments: tuple[str, ...], allow_code: bool, force: bool, display: Display) -> Run:
    from xaitool.engine import run as engine

    with redirect_stdout(sys.stderr):
        return engine.resume(folder, set=assignments, allow_code=allow_code, force=force, display=display)


def _for_scripts(carry_out: Callable[[Display], Run]) -> None:
    """Run, and print one JSON object however it ends: the summary, if there is a run, its error and the exit status."""
    from xaitool.engine.progress import ForScripts
    from xaitool.results import Run
    from xaitool.summary import VERSION, Summary

    display = ForScripts()
    ending: dict[str, Any] = {"error": None, "exit_status": 0}
    try:
        carry_out(display)
    except BaseException as error:
        ending = _ending(error)
        raise
    finally:
        # Read again: how the run ended may have been written down after the summary was made.
        told = Summary.of(Run(display.kept.folder)).as_dict() if display.kept else {"version": VERSION}
        click.echo(json.dumps(told | ending, indent=2))


def _ending(error: BaseException) -> dict[str, Any]:
    match error:
        case XaitoolError():
            return {"error": str(error), "exit_status": error.exit_status}
        case Terminated():
            return {"error": "terminated", "exit_status": 143}
        case KeyboardInterrupt():
            return {"error": "interrupted", "exit_status": 130}
    return {"error": repr(error), "exit_status": 1}  # a defect, which keeps its traceback
