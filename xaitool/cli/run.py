"""``xaitool run``."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaitool.cli.options import allow_code_option, recipe_argument, set_option
from xaitool.errors import XaitoolError

if TYPE_CHECKING:
    from xaitool.engine.progress import Display
    from xaitool.results import Run


@click.command()
@recipe_argument
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
def run(recipe: str, assignments: tuple[str, ...], allow_code: bool, out: Path, quiet: bool, as_json: bool) -> None:
    """Train, evaluate and explain as RECIPE says.

    RECIPE is a YAML file, or the name of one that comes with xaitool (see `xaitool recipe list`).

    Everything goes into a new folder FOLDER/NAME/TIME: weights, predictions, maps, figures and report.html. What
    happens meanwhile and what came of it are told on stderr; the folder, on stdout.

    The exit status is 2 where something is wrong, and 3 where an explainer falls short of explain.require.

    \b
    Examples:
        xaitool run quickstart
        xaitool run recipes/resnet18_cifar10.yaml --set train.epochs=5
        xaitool run quickstart --json | jq .accuracy
    """  # noqa: D301 - click wants the backspace character itself
    if as_json:
        _run_for_scripts(recipe, assignments, allow_code, out)
    else:
        from xaitool.engine.progress import Display, Silent

        click.echo(_run(recipe, assignments, allow_code, out, Silent() if quiet else Display()).folder)


def _run(recipe: str, assignments: tuple[str, ...], allow_code: bool, out: Path, display: Display) -> Run:
    from xaitool.recipe.resolve import Recipe

    checked = Recipe.load(recipe, set=assignments, allow_code=allow_code)
    # Only now, torch and all that comes with it: a mistake in the recipe is told at once.
    from xaitool.engine import run as engine

    with redirect_stdout(sys.stderr):  # what a plugin or its library prints is no part of the output
        return engine.run(checked, out=out, display=display)


def _run_for_scripts(recipe: str, assignments: tuple[str, ...], allow_code: bool, out: Path) -> None:
    """Run, and print one JSON object however it ends: the summary, if there is a run, its error and the exit status."""
    from xaitool.engine.progress import ForScripts
    from xaitool.results import Run
    from xaitool.summary import VERSION, Summary

    display = ForScripts()
    ending: dict[str, Any] = {"error": None, "exit_status": 0}
    try:
        _run(recipe, assignments, allow_code, out, display)
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
        case KeyboardInterrupt():
            return {"error": "interrupted", "exit_status": 130}
    return {"error": repr(error), "exit_status": 1}  # a defect, which keeps its traceback
