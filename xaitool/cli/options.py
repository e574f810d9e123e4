"""Arguments and options that several commands share."""

from __future__ import annotations

import click

recipe_argument = click.argument("recipe")

allow_code_option = click.option(
    "--allow-code",
    is_flag=True,
    help="Let the recipe name Python code to be executed (model: {use: python, ...}). Look at the code first. Recipes "
    "in a folder that XAITOOL_TRUSTED_FOLDERS names need no such leave.",
)

set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, as in train.epochs=1 or explain.methods=[{use: gradcam, layers: [layer3]}]; "
    "may be repeated.",
)
