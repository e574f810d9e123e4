"""Figures as files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from xaitool.figures.style import DPI, styled
from xaitool.files import write_whole


@styled
def save(figure: Figure, path: Path | str) -> None:
    """Write `figure` as a PNG that appears whole or not at all, and clear it (it is of no more use after that)."""
    try:
        # Without matplotlib's version in it, equal figures are equal files.
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
        write_whole(Path(path), picture.getvalue())
    finally:
        for axes in figure.axes:  # clear() alone would set up each of them afresh before it drops them
            figure.delaxes(axes)
        figure.clear()
