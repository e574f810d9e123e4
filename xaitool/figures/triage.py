"""Mistakes, the evidence for both classes, and what the evidence for one has that the other's has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from xaitool.figures.explanations import is_empty, overlay
from xaitool.figures.style import BLUE, INK, MUTED, SMALL, TEXT, VERMILION, fit, message, styled
from xaitool.figures.tiles import (
    HEAD,
    MARGIN,
    Array,
    Labels,
    as_pictures,
    check_lengths,
    pixels,
    place,
    sheet,
    show,
    write,
)

# Blue and vermilion are told apart with every kind of colour-blindness, and are as dark as each other.
_COLOURS: Final = LinearSegmentedColormap.from_list("true to predicted", [BLUE, "white", VERMILION])
_GREY: Final = 0.25  # of the image below a difference, where it is darkest
_TILE: Final = pixels(192)  # six screen pixels to a pixel of a 32×32 image
_ACROSS: Final = _TILE + 0.2
_ABOVE: Final = 0.42  # what the texts above a row's pictures take
_DOWN: Final = _ABOVE + _TILE + 0.24
_WIDTH: Final = 2 * MARGIN + 4 * _ACROSS - 0.2


@styled
def differences(
    images: Array,
    for_predicted: Array,
    for_true: Array,
    true: Labels,
    predicted: Labels,
    confidence: Sequence[float] | Array,
    classes: Sequence[str],
) -> Figure:
    """A row a mistake: the image, the evidence for the predicted class, that for the true class, and their difference.

    images: N×H×W×3, uint8 or float in [0, 1]. for_predicted, for_true: N×H×W, any floats. true, predicted: N indices
    into `classes`. confidence: N in [0, 1]. The difference is that of :func:`contrast`, drawn over a faint
    grey copy of the image.
    """
    check_lengths(
        len(images),
        for_predicted=for_predicted,
        for_true=for_true,
        true=true,
        predicted=predicted,
        confidence=confidence,
    )
    if not len(images):
        return message("No mistakes to look at")

    count = len(images)
    figure = sheet(
        _WIDTH,
        HEAD + 0.12 + count * _DOWN,
        f"Evidence for the wrong class and for the right one, in {count:,} mistake{'s' * (count != 1)}",
        "Last column: the difference of the two maps, over a faint grey copy of the image.",
    )
    _scale(figure)
    for index, picture in enumerate(as_pictures(images)):
        is_, taken = classes[true[index]], classes[predicted[index]]
        top = HEAD + 0.22 + index * _DOWN
        _title(figure, top, is_, taken, confidence[index])
        one, other = np.asarray(for_predicted[index]), np.asarray(for_true[index])
        show(_tile(figure, top, 0, "the image"), picture)
        _show_map(_tile(figure, top, 1, 'for "{}" (predicted)', taken), picture, one)
        _show_map(_tile(figure, top, 2, 'for "{}" (true)', is_), picture, other)
        _name_sides(figure, top, is_, taken)
        _show_contrast(_tile(figure, top, 3), picture, contrast(one, other))
    return figure


def contrast(for_predicted: Array, for_true: Array) -> Array:
    """Two maps' difference (H×W), above 0 where there is more evidence for the predicted class, within [-1, 1].

    The maps are subtracted as they are and the difference is divided by the range of both together, zero included. That
    range is 1 for maps from 0 to 1, such as those of CAM methods. It is the same at all places: what is a small
    difference beside the evidence stays small. Values that are not finite count as no evidence.
    """
    one, other = (
        np.nan_to_num(np.asarray(each, float), nan=0.0, posinf=0.0, neginf=0.0) for each in (for_predicted, for_true)
    )
    both = np.stack([one, other, np.zeros_like(one)])
    extent = both.max() - both.min()
    return (one - other) / extent if extent > 0 else np.zeros_like(one)


def _title(figure: Figure, top: float, true: str, predicted: str, confidence: float) -> None:
    """``dog taken for cat, 87% sure``, above three pictures; two long names have half of the room each."""
    room = 3 * _ACROSS - 0.2
    tail = fit(predicted, room * 0.58, TEXT, "bold", f"taken for {{}}, {100 * confidence:.0f}% sure")
    line = fit(true, room, TEXT, "bold", "{} " + tail.replace("{}", ""))
    write(figure, MARGIN, top, line, size=TEXT, weight="bold", color=INK)


def _tile(figure: Figure, top: float, column: int, frame: str = "", name: str = "") -> Axes:
    left = MARGIN + column * _ACROSS
    write(figure, left, top + 0.22, fit(name, _TILE + 0.12, SMALL, frame=frame), color=MUTED)
    return place(figure, left, top + _ABOVE, _TILE, _TILE)


def _show_map(axes: Axes, picture: Array, saliency: Array) -> None:
    show(axes, overlay(picture, saliency))
    if is_empty(saliency):
        _say(axes, "empty map")


def _show_contrast(axes: Axes, picture: Array, difference: Array) -> None:
    """The difference in colours; the less there is, the more the image is seen below it, in light grey."""
    grey = picture.mean(2, keepdims=True)
    paper = 1 - _GREY * (grey.max() - grey) * (1 - np.abs(difference)[:, :, None])
    show(axes, _COLOURS((difference + 1) / 2)[:, :, :3] * paper)
    if not difference.any():
        _say(axes, "no difference")


def _say(axes: Axes, text: str) -> None:
    white = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 3}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", size=SMALL, bbox=white)


def _name_sides(figure: Figure, top: float, true: str, predicted: str) -> None:
    """The scale of a difference, above it: which colour is which class's."""
    left, half = MARGIN + 3 * _ACROSS, _TILE / 2 - 0.03
    write(figure, left, top + 0.02, "more evidence for", color=MUTED)
    write(figure, left, top + 0.17, fit(true, half, SMALL, "bold"), color=BLUE, weight="bold")
    name = fit(predicted, half, SMALL, "bold")
    write(figure, left + _TILE, top + 0.17, name, color=VERMILION, weight="bold", ha="right")
    ramp = np.linspace(-1, 1, 256)[None]
    bar = place(figure, left, top + _ABOVE - 0.09, _TILE, 0.06)
    show(bar, ramp, cmap=_COLOURS, vmin=-1, vmax=1, aspect="auto")


def _scale(figure: Figure) -> None:
    """The scale of the evidence, below the headline, as its colours lie on white."""
    top, wide = MARGIN + 0.5, 1.6
    write(figure, MARGIN, top, "no evidence", color=MUTED)
    ramp = overlay(np.ones((1, 256, 3)), np.linspace(0, 1, 256)[None])
    show(place(figure, MARGIN + 0.8, top + 0.01, wide, 0.13), ramp, aspect="auto")
    write(figure, MARGIN + 0.9 + wide, top, "most evidence in this map (columns two and three)", color=MUTED)
