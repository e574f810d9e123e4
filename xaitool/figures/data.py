"""What the data look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from xaitool.figures.style import MUTED, SMALL, TEXT, fit, message, styled
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

_TILE: Final = pixels(160)  # five screen pixels to a pixel of a 32×32 image
_MOST_SAMPLES: Final = 64
_MOST_CLASSES: Final = 20
_NARROWEST: Final = 6.0  # inches: room for the headline


@styled
def random_samples(images: Array, labels: Labels, classes: Sequence[str]) -> Figure:
    """Training samples, drawn at random by the caller, with the names of their classes.

    images: N×H×W×3, uint8 or float in [0, 1]. labels: N indices into `classes`. Shows 64 at most, and says so.
    """
    pictures = as_pictures(images[:_MOST_SAMPLES])
    check_lengths(len(images), labels=labels)
    if not len(pictures):
        return message("No training samples to show")

    count = len(pictures)
    columns = min(count, max(6, math.ceil(math.sqrt(count * 1.4))))
    rows = math.ceil(count / columns)
    across, down = _TILE + 0.12, _TILE + 0.34
    of_all = f" (of {len(images):,} given)" if len(images) > count else ""
    figure = sheet(
        max(_NARROWEST, 2 * MARGIN + columns * across - 0.12),
        HEAD + rows * down + MARGIN / 2,
        f"{count} random training sample{'s' if count > 1 else ''}{of_all}",
        f"{pictures.shape[2]} × {pictures.shape[1]} pixels, with the name of the class below",
    )
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=False)):
        left, top = MARGIN + index % columns * across, HEAD + index // columns * down
        show(place(figure, left, top, _TILE, _TILE), picture)
        write(figure, left, top + _TILE + 0.04, fit(classes[label], _TILE, TEXT), size=TEXT)
    return figure


@styled
def samples_by_class(images: Array, labels: Labels, classes: Sequence[str], per_class: int = 10) -> Figure:
    """One row a class, with the first `per_class` images of it; the first 20 classes, saying so where there are more.

    images: N×H×W×3, uint8 or float in [0, 1]. labels: N indices into `classes`.
    """
    check_lengths(len(images), labels=labels)
    if not len(images) or not classes:
        return message("No training samples to show")

    names, of_label = classes[:_MOST_CLASSES], np.asarray(labels)
    height, width = images.shape[1:3]
    given = np.bincount(of_label, minlength=len(classes))[: len(names)]
    columns = min(per_class, max(int(given.max()), 1))
    cut = f", for the first {len(names)} of {len(classes)} classes" if len(names) < len(classes) else ""
    name_width, across = 1.5, pixels(128) + 0.06
    figure = sheet(
        max(_NARROWEST, 2 * MARGIN + name_width + columns * across),
        HEAD + len(names) * across + MARGIN,
        f"{'Up to ' * bool(given.min() < per_class)}{per_class} sample{'s' * (per_class != 1)} of each class{cut}",
        f"{width} × {height} pixels, one row a class",
    )
    for row, name in enumerate(names):
        top = HEAD + row * across
        write(figure, MARGIN, top + across / 2, fit(name, name_width - 0.1, TEXT), size=TEXT, va="center")
        of_class = np.flatnonzero(of_label == row)[:per_class]
        if not len(of_class):
            write(figure, MARGIN + name_width, top + across / 2, "no image", size=TEXT, color=MUTED, va="center")
        for column, picture in enumerate(as_pictures(images[of_class])):
            left = MARGIN + name_width + column * across
            show(place(figure, left, top, across - 0.06, across - 0.06), picture)
    return figure


@styled
def channels(image: Array, title: str) -> Figure:
    """One image (H×W×3, uint8 or float in [0, 1]) and its red, green and blue channel, each with its scale."""
    picture = as_pictures(np.asarray(image)[None])[0]
    tile, gap = pixels(256), 0.3
    figure = sheet(
        2 * MARGIN + 4 * tile + 3 * gap,
        HEAD + 0.55 + tile + MARGIN,
        title,
        "the image and each of its colour channels (0: none of that colour, 1: all of it)",
    )
    top = HEAD + 0.1
    show(place(figure, MARGIN, top, tile, tile), picture)
    write(figure, MARGIN, top + tile + 0.07, "image", size=SMALL + 1)
    for index, (name, tint) in enumerate((("red", "#ff4b3e"), ("green", "#2fd06e"), ("blue", "#4d8dff"))):
        left = MARGIN + (index + 1) * (tile + gap)
        values = picture[:, :, index]
        ramp = LinearSegmentedColormap.from_list(name, ["black", tint, "white"])
        shown = show(place(figure, left, top, tile, tile), values, cmap=ramp, vmin=0, vmax=1)
        bar = place(figure, left, top + tile + 0.32, tile, 0.09)
        figure.colorbar(shown, cax=bar, orientation="horizontal", ticks=FixedLocator([0, 0.5, 1]))
        bar.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
        bar.spines[:].set_visible(False)
        spread = f"{name}: {values.min():.2f} to {values.max():.2f}, mean {values.mean():.2f}"
        write(figure, left, top + tile + 0.07, spread, size=SMALL + 1)
    return figure
