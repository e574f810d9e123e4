"""``xaitool plugins check``."""

from __future__ import annotations

import io
import os
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from xaitool.testing import Case


# Of what a plugin prints while a check fails, the last lines tell most.
_LINES = 20


def _size(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r} is not channels x height x width, as in 3x224x224")
    return tuple(map(int, parts))


@click.command(short_help="Check an installed distribution's plugins.")
@click.argument("distribution")
@click.option(
    "--with",
    "with_options",
    multiple=True,
    metavar="KIND/NAME={OPTION: VALUE}",
    help="Options to try a component with, instead of its own example; may be repeated.",
)
@click.option("--only", default="", metavar="TEXT", help="Only the checks with TEXT in their name.")
@click.option(
    "--input-size",
    default="3x32x32",
    show_default=True,
    callback=_size,
    metavar="CxHxW",
    help="Size of the images that models are built for.",
)
def check(distribution: str, with_options: tuple[str, ...], only: str, input_size: tuple[int, int, int]) -> None:
    """Say whether the plugins of an installed DISTRIBUTION do what their contracts promise.

    These are the checks that `xaitool.testing.conformance` makes tests of; each is described in docs/plugins.md. The
    exit status is 1 where one fails. What needs data that are not on this machine is not run, and said to be so.

    \b
    Examples:
        xaitool plugins check my-plugin
        xaitool plugins check my-plugin --only explainer/mine:finite
        xaitool plugins check xaitool --with 'dataset/cifar10={root: FOLDER}'
    """  # noqa: D301 - click wants the backspace character itself
    options = dict(map(_options, with_options))
    from xaitool.errors import ComponentError
    from xaitool.testing import cases

    found = cases(distribution, options=options, input_size=input_size)
    chosen = [case for case in found if only in case.name]
    if not chosen:
        raise ComponentError(f"no check of {distribution} has '{only}' in its name; they are called {found[0].name}, …")
    width = max(len(case.name) for case in chosen)
    counts: Counter[str] = Counter()
    told: dict[str, str] = {}  # why a check did not pass -> the first of which this was said
    for case in chosen:
        began = time.perf_counter()
        state, reason, printed = _outcome(case)
        counts[state] += 1
        click.echo(f"{state:7}  {case.name:{width}}  {time.perf_counter() - began:5.1f} s")
        if reason in told:
            click.echo(f"         for the same reason as {told[reason]}")
        elif reason:
            told[reason] = case.name
            lines = [case.summary, *reason.splitlines()]
            if printed:
                lines += ["what the plugin printed meanwhile:", *printed.splitlines()[-_LINES:]]
            click.echo("".join(f"         {line}\n" for line in lines), nl=False)
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["FAILED"]:
        sys.exit(1)


def _options(text: str) -> tuple[str, dict[str, Any]]:
    from xaitool.recipe.document import Reading

    name, equals, value = text.partition("=")
    options = Reading(lambda _: f"--with {text}", os.environ).document(value) if equals else None
    if not isinstance(options, dict):
        raise click.BadParameter(f"{text!r} is not KIND/NAME={{OPTION: VALUE, …}}", param_hint="--with")
    return name.strip(), options


def _outcome(case: Case) -> tuple[str, str, str]:
    """How a check ended, why it did not pass, and what the plugin printed, which is nobody's concern if it did."""
    from xaitool.errors import DataUnavailableError
    from xaitool.testing import CheckError

    printed = io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            case.run()
    except DataUnavailableError as error:
        return "not run", str(error), ""
    except CheckError as error:
        return "FAILED", str(error), printed.getvalue()
    return "ok", "", ""
