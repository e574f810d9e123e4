"""Pictures in a grid: checked arrays in, axes placed to the inch out.

Positions are counted in inches from a figure's upper left corner. They are set, not searched for: a layout engine takes
seconds for a hundred pictures, and a tile of a whole number of screen pixels per image pixel is sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from xaitool.figures.style import DPI, GRID, HEADLINE, MUTED, SMALL, TEXT, fit

Array = npt.NDArray[Any]
Labels = Sequence[int] | npt.NDArray[np.integer[Any]]

MARGIN: Final = 0.2
HEAD: Final = 0.75  # what a headline and the line below it take, with the margin above


def as_pictures(images: Array) -> Array:
    """N×H×W×3 images, uint8 or float in [0, 1], as float in [0, 1]."""
    pictures = np.asarray(images)
    if pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ValueError(f"images have to be N×H×W×3, not {'×'.join(map(str, pictures.shape))}")
    if pictures.dtype == np.uint8:
        return pictures.astype(np.float32) / 255
    return np.clip(np.nan_to_num(pictures.astype(np.float32)), 0, 1)


def check_lengths(count: int, **others: Sequence[Any] | Array) -> None:
    """Everything that is given per image has to be there for each of them."""
    for name, values in others.items():
        if len(values) != count:
            raise ValueError(f"{name}: {len(values)} given for {count} images")


def sheet(width: float, height: float, headline: str, detail: str = "", kind: type[Figure] = Figure) -> Figure:
    """An empty figure of width × height inches with its headline."""
    figure = kind(figsize=(width, height))
    write(figure, MARGIN, MARGIN, fit(headline, width - 2 * MARGIN, HEADLINE, "bold"), size=HEADLINE, weight="bold")
    write(figure, MARGIN, MARGIN + 0.25, fit(detail, width - 2 * MARGIN, TEXT), size=TEXT, color=MUTED)
    return figure


def write(figure: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Text whose upper left corner is at (left, top) inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, text, **{"size": SMALL, "va": "top", "ha": "left", **style})


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of width × height inches, upper left corner at (left, top)."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def show(axes: Axes, picture: Array, **style: Any) -> AxesImage:
    """A picture (H×W×3 in [0, 1], or H×W) with a hair-line frame; pixels of small pictures stay sharp squares."""
    interpolation = "nearest" if max(picture.shape[:2]) <= 96 else "antialiased"
    image = axes.imshow(picture, interpolation=interpolation, **style)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=GRID, linewidth=0.6)
    return image


def pixels(count: int) -> float:
    """So many pixels of the saved file, in inches."""
    return count / DPI
