"""``xaitool plugins``: list, show, new; ``check`` stands in a module of its own."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xaitool.cli.plugins_check import check
from xaitool.component import KINDS, Kind

if TYPE_CHECKING:
    from xaitool.component_help import Option
    from xaitool.plugin_listing import Row


@click.group()
def plugins() -> None:
    """List, describe, check and start plugins."""


plugins.add_command(check)


@plugins.command("list", short_help="List what the installed plugins offer.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, with all that is known of each.")
def list_plugins(as_json: bool) -> None:
    """List what the installed plugins offer, and the plugins that are broken or disabled.

    A recipe names a component as it stands in the second column.

    \b
    Examples:
        xaitool plugins list
        xaitool plugins list --json
        XAITOOL_PLUGINS_DISABLED=some-plugin xaitool plugins list
    """  # noqa: D301 - click wants the backspace character itself
    from xaitool.plugin_listing import rows
    from xaitool.plugins import catalog

    found = rows(catalog())
    if as_json:
        click.echo(json.dumps([asdict(row) for row in found], indent=2))
        return
    for line in _table([("KIND", "NAME", "FROM", "STATE"), *map(_cells, found)]):
        click.echo(line)
    warnings = {f"warning: {row.entry_point}: {warning}": None for row in found for warning in row.warnings}
    for warning in warnings:
        click.echo(warning)


@plugins.command(short_help="Describe a component and its options.")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where a name is offered in two kinds, which of them.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON schema of the options.")
def show(name: str, kind: Kind | None, as_json: bool) -> None:
    """Describe the component NAME: its options, and what to write in a recipe.

    NAME is a component's name as `xaitool plugins list` shows it, or its full name, distribution/name.

    \b
    Examples:
        xaitool plugins show gradcam
        xaitool plugins show xaitool/shapes --kind dataset
    """  # noqa: D301 - click wants the backspace character itself
    from xaitool import component_help
    from xaitool.plugin_listing import find, recipe_name
    from xaitool.plugins import catalog

    offer = find(catalog(), name, kind)
    schema = component_help.schema(offer)
    if as_json:
        click.echo(json.dumps(schema, indent=2))
        return
    component, plugin = offer.component, offer.plugin
    click.echo(f"{component.name}: {component.summary}" if component.summary else component.name)
    click.echo()
    click.echo(f"kind       {offer.kind}")
    click.echo(f"full name  {offer.full_name}")
    click.echo(f"plugin     {plugin}")
    click.echo(f"code       {component.factory}")
    click.echo()
    for line in _options(component_help.options(schema), component_help.description(schema)):
        click.echo(line)
    wrong = component_help.wrong_example(offer)
    if wrong:
        click.echo(f"\nIts example is wrong, so none is shown; tell its author: {wrong}")
    click.echo("\nIn a recipe:\n")
    example = {} if wrong else component.example
    click.echo(component_help.snippet(offer.kind, recipe_name(catalog(), offer), example, schema))


@plugins.command(short_help="Start a plugin of your own.")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What it is to offer.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    metavar="FOLDER",
    help="Where the folder NAME is made.",
)
def new(name: str, kind: Kind, out: Path) -> None:
    """Start a plugin: a package NAME with one small component that works, to be made your own.

    NAME is what pip will know it by, and what recipes will call its component.

    \b
    Examples:
        xaitool plugins new my-saliency --kind explainer
        xaitool plugins new birds --kind dataset --out ~/plugins
    """  # noqa: D301 - click wants the backspace character itself
    from xaitool.scaffold.write import example_recipe, write

    folder = write(name, kind, out)
    click.echo(f"{folder} is a plugin with the {kind} '{name}'. What comes next:\n")
    click.echo(f"    pip install -e {folder}")
    click.echo(f"    xaitool plugins show {name}")
    click.echo(f"    pytest {folder}")
    click.echo("\nIn a recipe:\n")
    click.echo(example_recipe(name, kind))


def _cells(row: Row) -> tuple[str, str, str, str]:
    match row.state:
        case "ok":
            state = f"ok  {row.summary}".rstrip()
        case broken_or_disabled:
            state = f"{broken_or_disabled}: {' '.join(row.reason.split())}"
    return row.kind or "plugin", row.name, f"{row.distribution} {row.version}", state


def _table(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Aligned columns. In a terminal, a summary that goes beyond its edge is cut; a reason never is."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    width = _terminal_width()
    table = []
    for *cells, last in lines:
        start = "  ".join(f"{cell:{size}}" for cell, size in zip(cells, widths, strict=True)) + "  "
        room = max(width - len(start), 24) if width and last.startswith("ok ") else len(last)
        table.append(start + (last if len(last) <= room else last[: room - 1].rstrip() + "…"))
    return table


def _options(options: Sequence[Option], description: str) -> list[str]:
    width = min(_terminal_width() or 120, 120)
    lines = [description, ""] if description else []
    if not options:
        return [*lines, "It has no options."]
    names, types = (max(map(len, column)) for column in zip(*((each.name, each.type) for each in options), strict=True))
    names = max(names, len("OPTION"))
    types = max(min(types, 40), len("TYPE"))  # one long type must not push the defaults of all others aside
    lines += [f"{'OPTION':{names}}  {'TYPE':{types}}  DEFAULT"]
    for each in options:
        lines.append(f"{each.name:{names}}  {each.type:{types}}  {each.default}".rstrip())
        lines += textwrap.wrap(each.description, width, initial_indent="    ", subsequent_indent="    ")
    return lines


def _terminal_width() -> int | None:
    """Columns of the terminal that the output goes to; None where it goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
