"""``xaitool recipe``: check, show, list, schema."""

from __future__ import annotations

import json

import click

from xaitool.characters import harmless
from xaitool.cli.options import allow_code_option, recipe_argument, set_option


@click.group()
def recipe() -> None:
    """Check, show and describe recipes."""


@recipe.command()
@recipe_argument
@set_option
@allow_code_option
def check(recipe: str, assignments: tuple[str, ...], allow_code: bool) -> None:
    """Say everything that is wrong with RECIPE, without running it.

    Each problem is a line `file:line:column: key: what is wrong`; the exit status is 2 where there are any.
    """
    from xaitool.recipe.resolve import Recipe

    checked = Recipe.load(recipe, set=assignments, allow_code=allow_code)
    names = ", ".join(component.offer.full_name for component in checked.components)
    click.echo(f"{harmless(checked.source.name)}: fine; it uses {names}")


@recipe.command()
@recipe_argument
@set_option
@allow_code_option
@click.option("--resolved", is_flag=True, help="Fill in every default, and give every component its full name.")
def show(recipe: str, assignments: tuple[str, ...], allow_code: bool, resolved: bool) -> None:
    """Print RECIPE, to start your own from: xaitool recipe show resnet18_cifar10 > mine.yaml

    With --set or --resolved: the resolved recipe, with every default, which runs as it stands.
    """
    from xaitool.recipe import library
    from xaitool.recipe.resolve import Recipe
    from xaitool.recipe.source import read

    if resolved or assignments:
        click.echo(Recipe.load(recipe, set=assignments, allow_code=allow_code).to_yaml(), nl=False)
    else:
        click.echo(harmless(read(library.locate(recipe)).text), nl=False)


@recipe.command("list")
def list_recipes() -> None:
    """List the recipes that come with xaitool."""
    from xaitool.recipe import library

    for name in library.names():
        click.echo(f"{name:28} {library.headline(name)}".rstrip())


@recipe.command()
def schema() -> None:
    """Print the JSON schema of recipes with all installed plugins, for editors.

    \b
    In the recipe's first line, for editors that know yaml-language-server:
        # yaml-language-server: $schema=xaitool.schema.json
    """  # noqa: D301 - click wants the backspace character itself
    from xaitool.recipe.json_schema import json_schema

    click.echo(json.dumps(json_schema(lambda message: click.echo(f"warning: {message}", err=True)), indent=2))
