"""Perturbation curves: what the model still believes while an image is replaced bit by bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaitool.figures.style import BLUE, INK, TEXT, VERMILION, fit, light_grid, message, styled
from xaitool.figures.tiles import Array
from xaitool.figures.verdicts import WIDTH, headed

# Whose maps -> curve -> values.
Sources = Mapping[str, Mapping[str, Array]]
# Whether the most relevant pixels go first -> (part replaced, value).
Drawn = Mapping[bool, tuple[Array, Array]]

# Okabe and Ito's colours that are not the explainer's own blue.
_CONTROLS: Final = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", VERMILION)
_MOST_FIRST: Final = "solid"
_LEAST_FIRST: Final = (0, (4, 2))
# The names of curves -> whether the most relevant pixels are replaced first, and whether it is read backwards: to put
# the most relevant pixels in is, from right to left, to replace the least relevant first.
_ORDERS: Final = {
    "deletion": (True, False),
    "morf": (True, False),
    "insertion": (False, True),
    "lerf": (False, False),
}


@styled
def perturbation_curves(explainers: Mapping[str, Sources]) -> Figure:
    """The probability of the predicted class over the part of the image that is replaced: a panel an explainer.

    explainers: label -> whose maps (the explainer's own first, then the controls) -> curve -> S values, at the S
    fractions in ``fraction``. ``deletion`` and ``morf`` replace the most relevant pixels first, ``lerf`` the least
    relevant; ``insertion`` puts the most relevant pixels in first. Curves of other names are not drawn.
    """
    panels = _drawable(explainers)
    if not panels:
        return message("There are no curves to show", "The metric that decides gives none that can be drawn.")

    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = headed(
        2.75 * rows + (0.6 if columns == 1 else 0) + 1,
        "Does the model need what the maps call relevant?",
        "Where a map is right, replacing its most relevant pixels makes the probability fall at once (solid), and "
        "replacing its least relevant ones leaves it high (dashed): the wider the gap, the better.",
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    names = dict.fromkeys(name for drawn in panels.values() for name in list(drawn)[1:])
    colours = dict(zip(names, cycle(_CONTROLS), strict=False))
    for axes, (label, (own, *controls)) in zip(grid.flat, ((k, v.items()) for k, v in panels.items()), strict=False):
        for name, drawn in controls:
            _draw(axes, drawn, colours[name], 1.2)
        _draw_own(axes, own[1])
        axes.set_title(fit(label, WIDTH / columns - 1, TEXT + 1, "bold"), fontsize=TEXT + 1)
        axes.set(xlim=(0, 1), xticks=np.linspace(0, 1, 5))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
        light_grid(axes)
    grid[0, 0].set_ylim(bottom=min(0, grid[0, 0].get_ylim()[0]))
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # below which there is no other
        axes.set_xlabel("part of the image that is replaced")
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supylabel("probability of the predicted class", size=TEXT)
    figure.legend(handles=_handles(colours), loc="outside lower left", ncols=3, columnspacing=1.6)
    return figure


def has_curves(explainers: Mapping[str, Sources]) -> bool:
    """Whether :func:`perturbation_curves` can draw any."""
    return bool(_drawable(explainers))


def _drawable(explainers: Mapping[str, Sources]) -> dict[str, dict[str, Drawn]]:
    """Of the explainers whose own curves can be drawn, whatever can be."""
    by_order = {
        label: {name: drawn for name, curves in sources.items() if (drawn := _by_order(curves))}
        for label, sources in explainers.items()
    }
    return {label: drawn for label, drawn in by_order.items() if next(iter(explainers[label]), None) in drawn}


def _by_order(curves: Mapping[str, Array]) -> Drawn:
    """A map's curves that can be drawn."""
    fractions = np.asarray(curves.get("fraction", ()), float)
    found = {}
    for name, (most_first, backwards) in _ORDERS.items():
        values = np.asarray(curves.get(name, ()), float)
        if values.ndim == 1 and values.shape == fractions.shape and np.isfinite(values).any():
            found[most_first] = (1 - fractions[::-1], values[::-1]) if backwards else (fractions, values)
    return found


def _draw(axes: Axes, drawn: Drawn, colour: str, width: float, above: int = 2) -> None:
    for most_first, (fractions, values) in drawn.items():
        line = _MOST_FIRST if most_first else _LEAST_FIRST
        axes.plot(fractions, values, color=colour, linestyle=line, linewidth=width, zorder=above)


def _draw_own(axes: Axes, drawn: Drawn) -> None:
    """The explainer's curves, strong, and the area between them, which is its score."""
    _draw(axes, drawn, BLUE, 2.8, above=3)
    if len(drawn) == 2:
        (part, most), (part_of_least, least) = drawn[True], drawn[False]
        axes.fill_between(part, most, np.interp(part, part_of_least, least), color=BLUE, alpha=0.1, linewidth=0)


def _handles(colours: Mapping[str, str]) -> list[Line2D]:
    return [
        Line2D([], [], color=INK, linewidth=1.6, linestyle=_MOST_FIRST, label="most relevant pixels first"),
        Line2D([], [], color=INK, linewidth=1.6, linestyle=_LEAST_FIRST, label="least relevant pixels first"),
        Line2D([], [], color=BLUE, linewidth=2.8, label="the explainer's maps"),
        *(Line2D([], [], color=colour, linewidth=1.6, label=name) for name, colour in colours.items()),
    ]
