"""``xaitool report``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xaitool.errors import FolderError

if TYPE_CHECKING:
    from xaitool.results import Run

# In the head of every page that xaitool writes.
_MARK = b'<meta name="generator" content="xaitool">'


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN_B]", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the page there, and nothing into the run's folder. A comparison goes to comparison.html in the current "
    "folder unless this says otherwise.",
)
@click.option("--svg", is_flag=True, help="Write the charts in figures/ as SVG too (one run).")
@click.option("--force", is_flag=True, help="Overwrite FILE even where xaitool did not write it.")
def report(runs: tuple[Path, ...], out: Path | None, svg: bool, force: bool) -> None:
    """Make a run's report again, or compare two runs.

    One RUN: its figures are drawn and its report.html is written again, from what is in its folder. Two: a page that
    shows them side by side, as A and B. RUN is a run's folder, or one that
    holds runs, of which the newest finished one is taken. The page's path is printed on stdout.

    \b
    Examples:
        xaitool report runs/quickstart
        xaitool report runs/first runs/second --out first-and-second.html
    """  # noqa: D301 - click wants the backspace character itself
    if len(runs) > 2:
        raise click.UsageError(f"{len(runs)} runs were given; a report is of one, a comparison of two")
    if svg and (out or len(runs) == 2):
        raise click.UsageError("--svg is for figures/ in a run's folder, where only a report without --out writes")
    with redirect_stdout(sys.stderr):  # what a plugin that adds a section prints is no part of the output
        page = _written([_located(path) for path in runs], out, svg, force)
    click.echo(page)


def _written(runs: list[Run], out: Path | None, svg: bool, force: bool) -> Path:
    if len(runs) == 1:
        return _again(runs[0], out, svg, force)
    if runs[0].folder.resolve() == runs[1].folder.resolve():
        raise FolderError(f"both are the same run, {runs[0].folder}")
    return _compared(runs[0], runs[1], out or Path("comparison.html"), force)


def _located(path: Path) -> Run:
    """The run; which one it is is told where the path does not say it."""
    from xaitool.report.locate import locate

    run = locate(path)
    if run.folder != path.expanduser():
        click.echo(f"{path}: the newest finished run is {run.folder}", err=True)
    return run


def _again(run: Run, out: Path | None, svg: bool, force: bool) -> Path:
    from xaitool.report.write import write_report

    if out:
        _spare(out, force)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"cannot write {out}: {error.strerror or error}") from error
    write_report(run, svg=svg or None, page=out)
    return out or run.report


def _compared(a: Run, b: Run, out: Path, force: bool) -> Path:
    from xaitool.report.compare import write_comparison

    _spare(out, force)
    return write_comparison(a, b, out)


def _spare(path: Path, force: bool) -> None:
    """Raise FolderError where there is a file that is not ours to overwrite."""
    if force or not path.exists():
        return
    try:
        with path.open("rb") as file:
            ours = _MARK in file.read(4096)
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error
    if not ours:
        raise FolderError(f"{path} is there already, and xaitool did not write it; --force overwrites it")
