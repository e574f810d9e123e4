"""``xaitool run``."""

from __future__ import annotations

from pathlib import Path

import click

from xaitool.cli.options import recipe_argument, set_option


@click.command()
@recipe_argument
@set_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    metavar="FOLDER",
    help="Where run folders are made.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the run's folder at the end.")
def run(recipe: str, assignments: tuple[str, ...], out: Path, quiet: bool) -> None:
    """Train, evaluate and explain as RECIPE says.

    RECIPE is a YAML file, or the name of one that comes with xaitool (see `xaitool recipe list`).

    Everything goes into a new folder FOLDER/NAME/TIME: weights, predictions, maps, figures and report.html.

    \b
    Examples:
        xaitool run quickstart
        xaitool run recipes/resnet18_cifar10.yaml --set train.epochs=5
    """  # noqa: D301 - click wants the backspace character itself
    from xaitool.recipe.resolve import Recipe

    checked = Recipe.load(recipe, set=assignments)
    # Only now, torch and all that comes with it: a mistake in the recipe is told at once.
    from xaitool.engine import run as engine
    from xaitool.engine.progress import Display, Silent

    finished = engine.run(checked, out=out, display=Silent() if quiet else Display())
    click.echo(finished.folder)
