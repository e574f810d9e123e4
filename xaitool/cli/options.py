"""Arguments and options that several commands share."""

from __future__ import annotations

import click

recipe_argument = click.argument("recipe")

set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, as in train.epochs=1 or explain.methods=[{use: gradcam, layers: [layer3]}]; "
    "may be repeated.",
)
