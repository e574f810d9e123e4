"""Scores with their intervals, one below another: of explainers and controls, and of the layers to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from xaitool.figures.style import (
    BLUE,
    HEADLINE,
    INK,
    MUTED,
    TEXT,
    VERMILION,
    fit,
    light_grid,
    message,
    styled,
    wrap,
)
from xaitool.figures.tiles import Array

WIDTH: Final = 8.4  # inches; wider, and the text would be too small to read on a phone
_NAMES: Final = 2.3  # inches for the names beside the scores

Mark = Literal["own", "beaten", "not beaten", "other"]

_STYLES: Final[dict[Mark, dict[str, Any]]] = {
    "own": {"marker": "o", "color": BLUE, "markersize": 8, "linewidth": 2.4},
    "not beaten": {"marker": "D", "color": VERMILION, "markerfacecolor": "white", "markersize": 6, "linewidth": 1.4},
    "beaten": {"marker": "o", "color": MUTED, "markersize": 5, "linewidth": 1.4},
    "other": {"marker": "o", "color": MUTED, "markersize": 5, "linewidth": 1.4},
}
_CHANCE: Final[dict[str, Any]] = {"color": INK, "linewidth": 1, "linestyle": (0, (2, 2))}


class Dot(NamedTuple):
    """A mean with its interval, and what it is: the explainer's own score (or layer), or one beside it."""

    name: str
    mean: float
    low: float
    high: float
    mark: Mark = "other"


class Dots(NamedTuple):
    """Scores on one axis, from top to bottom. label: the axis's; chance: what a map that knows nothing scores."""

    label: str
    rows: Sequence[Dot]
    chance: float | None = None


@styled
def scores_against_controls(explainers: Mapping[str, Sequence[Dots]]) -> Figure:
    """Every explainer's score and its controls': a row of panels an explainer, a column a metric."""
    return _panels(
        explainers,
        "Are the maps better than maps that know nothing?",
        "Lines are 95% intervals. Maps are compared image by image, which tells more than two intervals do: a control "
        "can be beaten although they overlap.",
        {"own": "the explainer's maps", "beaten": "control, beaten", "not beaten": "control, not beaten"},
    )


@styled
def scores_of_layers(explainers: Mapping[str, Dots]) -> Figure:
    """The score of every layer that an explainer can look at: a panel an explainer."""
    return _panels(
        {label: [dots] for label, dots in explainers.items()},
        "Which layer gives the most faithful maps?",
        "Lines are 95% intervals, on test images that are used for nothing else.",
        {"own": "the layer in use", "not beaten": "would be clearly better", "other": "other layers"},
    )


def headed(height: float, headline: str, detail: str) -> Figure:
    """A canvas of a height in inches besides what is said above all its panels: a headline, and how to read them."""
    lines = wrap(detail, WIDTH - 0.7, TEXT)
    head = 0.55 + 0.17 * (lines.count("\n") + 1)
    height += head
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.09, rect=(0, 0, 1, 1 - head / height))
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    left = 0.1 / WIDTH
    figure.text(left, 1 - 0.15 / height, headline, size=HEADLINE, weight="bold", va="top")
    figure.text(left, 1 - 0.44 / height, lines, color=MUTED, va="top")
    return figure


def _panels(explainers: Mapping[str, Sequence[Dots]], headline: str, detail: str, marks: Mapping[Mark, str]) -> Figure:
    shown = {label: panels for label, panels in explainers.items() if any(dots.rows for dots in panels)}
    if not shown:
        return message("There are no scores to show")
    columns = max(map(len, shown.values()))
    heights = [max(len(dots.rows) for dots in panels) + 1 for panels in shown.values()]
    figure = headed(0.8 + sum(0.22 * lines + 0.4 for lines in heights), headline, detail)
    grid = figure.subplots(len(shown), columns, squeeze=False, sharex="col", height_ratios=heights)
    for row, (label, panels) in zip(grid, shown.items(), strict=True):
        row[0].set_title(fit(label, WIDTH / columns - 0.5, TEXT + 1, "bold"), fontsize=TEXT + 1)
        for axes, dots in zip(row, panels, strict=False):
            _draw(axes, dots, named=dots is panels[0] or _names(dots) != _names(panels[0]))
        for axes in row[len(panels) :]:
            axes.set_axis_off()
    for column in range(columns):
        _label_below(
            grid[:, column], [panels[column].label if column < len(panels) else "" for panels in shown.values()]
        )
    drawn = [dots for panels in shown.values() for dots in panels]
    figure.legend(handles=_handles(drawn, marks), loc="outside lower left", ncols=4, columnspacing=1.6)
    return figure


def _draw(axes: Axes, dots: Dots, named: bool) -> None:
    """One line a score, the first at the top."""
    for place, dot in enumerate(dots.rows):
        style = _STYLES[dot.mark]
        axes.plot([dot.low, dot.high], [place] * 2, color=style["color"], linewidth=style["linewidth"])
        axes.plot(dot.mean, place, **style)
    if dots.chance is not None and math.isfinite(dots.chance):
        axes.axvline(dots.chance, zorder=1, **_CHANCE)
    light_grid(axes)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(dots.rows) - 0.4, -0.6)
    axes.set_yticks(range(len(dots.rows)), [fit(name, _NAMES, TEXT) for name in _names(dots)])
    axes.tick_params("y", labelleft=named, labelsize=TEXT)
    if named:
        for label, dot in zip(axes.get_yticklabels(), dots.rows, strict=True):
            label.set_fontweight("bold" if dot.mark == "own" else "normal")


def _names(dots: Dots) -> list[str]:
    return [dot.name for dot in dots.rows]


def _label_below(column: Array, labels: Sequence[str]) -> None:
    """What a column's axis shows, below the lowest of its panels, which is not always in the last row."""
    lowest = max(place for place, label in enumerate(labels) if label)
    column[lowest].set_xlabel(fit(labels[lowest], WIDTH / 2 - 0.6, TEXT))
    column[lowest].xaxis.set_tick_params(labelbottom=True)


def _handles(drawn: Sequence[Dots], marks: Mapping[Mark, str]) -> list[Line2D]:
    """The legend: only of what is there."""
    there = {dot.mark for dots in drawn for dot in dots.rows}
    handles = [Line2D([], [], label=words, **_STYLES[mark]) for mark, words in marks.items() if mark in there]
    chance = any(dots.chance is not None for dots in drawn)
    return handles + ([Line2D([], [], label="chance", **_CHANCE)] if chance else [])
