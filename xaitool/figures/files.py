"""Figures as files."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from matplotlib.figure import Figure

from xaitool.figures.style import DPI, styled


@styled
def save(figure: Figure, path: Path | str) -> None:
    """Write `figure` as a PNG that appears whole or not at all, and clear it (it is of no more use after that)."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            # Without matplotlib's version in it, equal figures are equal files.
            figure.savefig(file, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
        for axes in figure.axes:  # clear() alone would set up each of them afresh before it drops them
            figure.delaxes(axes)
        figure.clear()
