"""Mistakes, and the evidence an explainer sees for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaitool.figures.style import INK, MUTED, SMALL, TEXT, VERMILION, fit, message, styled
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

_COLOURS: Final = matplotlib.colormaps["plasma"]  # perceptually uniform, and readable with colour-blindness
_ALPHA: Final = 0.75  # where the evidence is greatest
_TILE: Final = pixels(192)  # six screen pixels to a pixel of a 32×32 image
_NARROWEST: Final = 7.0  # inches: room for the headline


@styled
def mistakes(
    images: Array, true: Labels, predicted: Labels, confidence: Sequence[float] | Array, classes: Sequence[str]
) -> Figure:
    """Wrongly classified images, each with what it was taken for, how surely, and what it is.

    images: N×H×W×3, uint8 or float in [0, 1]. true, predicted: N indices into `classes`. confidence: N in [0, 1].
    """
    check_lengths(len(images), true=true, predicted=predicted, confidence=confidence)
    if not len(images):
        return message("No mistakes", "Every image was classified correctly.")

    count, columns = len(images), min(len(images), 5)
    across, down = _TILE + 0.2, _TILE + 0.52
    figure = sheet(
        max(_NARROWEST, 2 * MARGIN + columns * across - 0.2),
        HEAD + math.ceil(count / columns) * down,
        f"{count:,} mistake{'s' * (count != 1)}",
        "the predicted class with its confidence in bold, the true class below",
    )
    for index, picture in enumerate(as_pictures(images)):
        left, top = MARGIN + index % columns * across, HEAD + index // columns * down
        show(place(figure, left, top, _TILE, _TILE), picture)
        took = fit(classes[predicted[index]], _TILE + 0.1, TEXT, "bold", f"{{}} {100 * confidence[index]:.0f}%")
        write(figure, left, top + _TILE + 0.04, took, size=TEXT, weight="bold", color=VERMILION)
        write(
            figure, left, top + _TILE + 0.21, fit(classes[true[index]], _TILE + 0.1, TEXT, frame="true: {}"), size=TEXT
        )
    return figure


def normalised(saliency: Array) -> Array:
    """The positive evidence of one map (H×W) on a scale from 0, its least, to 1, its most.

    Negative values and those that are not finite count as no evidence. A map that is then constant says nothing about
    where the evidence is: it comes back as all zeros.
    """
    evidence = np.maximum(np.nan_to_num(np.asarray(saliency, float), nan=0.0, posinf=0.0, neginf=0.0), 0)
    least, most = evidence.min(), evidence.max()
    return (evidence - least) / (most - least) if most > least else np.zeros_like(evidence)


def is_empty(saliency: Array) -> bool:
    """Whether a map (H×W) has no positive evidence anywhere, or as much everywhere; such a map says nothing."""
    return not normalised(saliency).any()


def overlay(image: Array, map: Array, alpha: float = _ALPHA) -> Array:
    """An image with a saliency map over it: H×W×3 float in [0, 1].

    image: H×W×3, float in [0, 1] (or uint8). map: H×W, any floats, normalised by itself (see :func:`normalised`) to
    m in [0, 1]; so colours compare places in one map, not two maps. The colour of m covers the image with opacity
    ``alpha * m``: where there is no evidence the image stays as it is, bit for bit.
    """
    picture = as_pictures(np.asarray(image)[None])[0]
    if np.shape(map) != picture.shape[:2]:
        raise ValueError(f"the map is {np.shape(map)}, the image {picture.shape[:2]}")
    evidence = normalised(map)
    opacity = alpha * evidence[:, :, None]
    colours: Array = _COLOURS(evidence)[:, :, :3]
    return np.asarray((1 - opacity) * picture + opacity * colours)


@styled
def explained(
    images: Array,
    true: Labels,
    predicted: Labels,
    confidence: Sequence[float] | Array,
    classes: Sequence[str],
    maps: Mapping[str, Array],
    method: str,
) -> Figure:
    """Images, and over them the evidence that `method` sees for each target.

    images: N×H×W×3, uint8 or float in [0, 1]. true, predicted: N indices into `classes`. confidence: N in [0, 1].
    maps: N×H×W for each target; targets called ``"predicted"`` and ``"true"`` are shown with the name of the class.
    """
    check_lengths(len(images), true=true, predicted=predicted, confidence=confidence)
    check_lengths(len(images), **{f"maps for {target}": of_target for target, of_target in maps.items()})
    if not len(images):
        return message(f"{method}: no images to explain")

    pictures, count = as_pictures(images), len(images)
    panels = 1 + len(maps)
    groups = min(count, max(1, 6 // panels))  # of an image and its maps, side by side
    across, down, apart = _TILE + 0.14, _TILE + 0.6, 0.3
    width = panels * across + apart - 0.14
    figure = sheet(
        max(_NARROWEST, 2 * MARGIN + groups * width - apart),
        HEAD + 0.1 + math.ceil(count / groups) * down,
        f"{method}: the evidence in {count:,} image{'s' * (count != 1)}",
    )
    scale(figure)
    for index, picture in enumerate(pictures):
        left, top = MARGIN + index % groups * width, HEAD + 0.12 + index // groups * down
        _write_verdict(
            figure, left, top, width - apart, classes[true[index]], classes[predicted[index]], confidence[index]
        )
        tile_top = top + 0.38
        show(place(figure, left, tile_top, _TILE, _TILE), picture)
        of_target = {"predicted": classes[predicted[index]], "true": classes[true[index]]}
        for panel, (target, saliency) in enumerate(maps.items(), 1):
            at = left + panel * across
            frame = f'for "{{}}" ({target})' if target in of_target else "for {}"
            write(
                figure, at, top + 0.2, fit(of_target.get(target, target), _TILE + 0.1, SMALL, frame=frame), color=MUTED
            )
            axes = place(figure, at, tile_top, _TILE, _TILE)
            show(axes, overlay(picture, saliency[index]))
            if is_empty(saliency[index]):
                say_empty(axes)
    return figure


def _write_verdict(
    figure: Figure, left: float, top: float, inches: float, true: str, predicted: str, confidence: float
) -> None:
    """``true X, predicted Y 87%``; two long names have half of the room each."""
    ending = f"predicted {{}} {100 * confidence:.0f}%"
    tail = fit(predicted, inches * 0.58, TEXT, "bold", ending)
    whole = fit(true, inches, TEXT, "bold", "true {}, " + tail.replace("{}", ""))
    write(figure, left, top, whole, size=TEXT, weight="bold", color=INK)


def scale(figure: Figure) -> None:
    """The colour bar, below the headline: the colours as they lie on white, with the opacity that they have there."""
    top, wide = MARGIN + 0.33, 2.2
    write(figure, MARGIN, top, "no evidence", color=MUTED)
    ramp = overlay(np.ones((1, 256, 3)), np.linspace(0, 1, 256)[None])
    bar = place(figure, MARGIN + 0.8, top + 0.01, wide, 0.13)
    show(bar, ramp, aspect="auto")
    write(figure, MARGIN + 0.9 + wide, top, "most evidence in this map (each map has its own scale)", color=MUTED)


def say_empty(axes: Axes) -> None:
    """Write on a picture that its map has no evidence in it."""
    axes.text(
        0.5,
        0.5,
        "empty map",
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=SMALL,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 3},
    )
