"""Figures as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from xaitool.figures.style import DPI, boxes_for_missing_glyphs, styled
from xaitool.files import write_whole


@styled
def drawn(figure: Figure, formats: Sequence[str] = ("png",)) -> dict[str, bytes]:
    """A figure as the content of files, by format: ``png`` (on white) or ``svg`` (on nothing, text as outlines).

    The figure is cleared: it is of no more use after that. Equal figures give equal files.
    """
    try:
        return {format: _drawn(figure, format) for format in formats}
    finally:
        for axes in figure.axes:  # clear() alone would set up each of them afresh before it drops them
            figure.delaxes(axes)
        figure.clear()


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as a PNG or SVG, by the path's ending, that appears whole or not at all, and clear it."""
    format = Path(path).suffix.removeprefix(".") or "png"
    write_whole(Path(path), drawn(figure, (format,))[format])


@boxes_for_missing_glyphs()
def _drawn(figure: Figure, format: str) -> bytes:
    content = io.BytesIO()
    # Without versions, dates and random ids in them, equal figures are equal files.
    if format == "svg":
        with matplotlib.rc_context({"svg.hashsalt": "xaitool"}):
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    else:
        figure.savefig(content, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return content.getvalue()
