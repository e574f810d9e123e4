"""What is taken for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from xaitool.figures.style import BLUE, GRID, INK, SMALL, TEXT, VERMILION, message, shorten, styled, width_of
from xaitool.figures.tiles import HEAD, MARGIN, Array, place, sheet
from xaitool.percent import percent

_RIGHT: Final = LinearSegmentedColormap.from_list("right", ["#ffffff", "#9ecae8", BLUE, "#00395a"])
_WRONG: Final = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#fbc79a", VERMILION, "#7a2f00"])
_MOST_NUMBERS: Final = 20  # classes; beyond it a cell is too small for a number
_MOST_NAMES: Final = 110
_NARROWEST: Final = 7.0  # inches: room for the headline


@styled
def confusion_matrix(counts: Array, classes: Sequence[str]) -> Figure:
    """How often each class (row) was taken for each class (column).

    counts: C×C. Colour is the percentage of a row. The diagonal has a scale of its own, as it would outshine the
    mistakes, which are what one looks for. Up to 20 classes the counts stand in the cells.
    """
    table = np.asarray(counts)
    if table.shape != (len(classes), len(classes)):
        raise ValueError(f"counts have to be {len(classes)}×{len(classes)}, not {'×'.join(map(str, table.shape))}")
    if not table.sum():
        return message("No image was classified", "There is no confusion matrix to show.")

    count = len(classes)
    names = [shorten(name, 18) for name in classes]
    size = SMALL + 1 if count <= _MOST_NUMBERS else SMALL if count <= 60 else 6.5
    room = max(width_of(name, size) for name in names) + 0.1  # for the names of the classes
    side = float(np.clip(0.62 * count, 2.5, 10 if count <= _MOST_NUMBERS else 12))
    left = MARGIN + 0.25 + room
    correct, whole = int(np.trace(table)), int(table.sum())
    width = max(_NARROWEST, left + side + 1.9)
    figure = sheet(
        width,
        HEAD + side + (0.75 if count <= _MOST_NUMBERS else 1) * room + 0.5,
        f"{correct:,} of {whole:,} images are classified correctly ({percent(correct / whole)})",
        _worst(table, classes, width - 2 * MARGIN),
    )
    axes = place(figure, left, HEAD, side, side)
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(count, dtype=bool)
    right = axes.imshow(np.ma.array(shares, mask=~diagonal), cmap=_RIGHT, vmin=0, vmax=100)
    most = float(shares[~diagonal].max(initial=0))
    wrong = axes.imshow(np.ma.array(shares, mask=diagonal), cmap=_WRONG, vmin=0, vmax=most or 1)
    _name_rows_and_columns(axes, names, size)
    if count <= _MOST_NUMBERS:
        _write_numbers(axes, table, shares, right, wrong)
    for at, image, name in ((0.25, right, "correct"), (1.05, wrong, "mistaken")):
        bar = place(figure, left + side + at, HEAD, 0.14, min(side, 5))
        figure.colorbar(image, cax=bar, label=f"{name} (% of the true class)")
        bar.spines[:].set_visible(False)
        bar.tick_params(length=0)
    return figure


def _name_rows_and_columns(axes: Axes, names: Sequence[str], size: float) -> None:
    """All names while they can be read, then every tenth, say."""
    count = len(names)
    shown = range(0, count, math.ceil(count / _MOST_NAMES))
    labels = [names[index] for index in shown]
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(shown, labels, size=size, **(slanted if count <= _MOST_NUMBERS else {"rotation": 90}))
    axes.set_yticks(shown, labels, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[:].set(visible=True, color=GRID)
    if count <= _MOST_NAMES:
        borders = np.arange(1, count) - 0.5
        axes.hlines(borders, -0.5, count - 0.5, color=GRID, linewidth=0.5)
        axes.vlines(borders, -0.5, count - 0.5, color=GRID, linewidth=0.5)


def _write_numbers(axes: Axes, table: Array, shares: Array, right: AxesImage, wrong: AxesImage) -> None:
    size = 9.5 if len(table) <= 12 else 7.5
    for row, column in np.ndindex(table.shape):
        image = right if row == column else wrong
        red, green, blue, _ = image.to_rgba(shares[row, column])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        empty = table[row, column] == 0
        axes.text(
            column,
            row,
            "·" if empty else f"{table[row, column]:,}",
            ha="center",
            va="center",
            size=size,
            weight="bold" if row == column else "normal",
            color="#b0b8c1" if empty else "white" if dark else INK,
        )


def _worst(table: Array, classes: Sequence[str], inches: float) -> str:
    """The most frequent mistakes in words: three, or as many as there is room for."""
    mistakes = table * ~np.eye(len(table), dtype=bool)
    rows, columns = np.unravel_index(np.argsort(-mistakes, axis=None, kind="stable")[:3], table.shape)
    named = [
        f"{shorten(classes[row], 20)} → {shorten(classes[column], 20)} ({mistakes[row, column]:,})"
        for row, column in zip(rows, columns, strict=True)
        if mistakes[row, column]
    ]
    text = f"most often confused (true → predicted): {', '.join(named)}" if named else "there is no mistake"
    while width_of(text, TEXT) > inches and len(named) > 1:
        named.pop()
        text = f"most often confused (true → predicted): {', '.join(named)}"
    return text
