"""Images and the evidence that explainers see in them, where nothing more is known of the images."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.figure import Figure

from xaitool.figures.explanations import is_empty, overlay, say_empty, scale
from xaitool.figures.style import DPI, MUTED, SMALL, TEXT, fit, message, styled
from xaitool.figures.tiles import HEAD, MARGIN, Array, as_pictures, check_lengths, pixels, place, sheet, show, write

_TILE: Final = pixels(192)
_NARROWEST: Final = 7.0  # inches: room for the headline


class Plot(Figure):
    """A matplotlib figure that notebooks show by itself, whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=DPI, facecolor="white")
        return content.getvalue()


@styled
def evidence(images: Array, captions: Sequence[str], maps: Mapping[str, Array], headline: str = "") -> Figure:
    """Images in rows, each followed by the evidence that every method sees in it.

    images: N×H×W×3, uint8 or float in [0, 1]. captions: one an image, set above it. maps: N×H×W for each method.
    """
    check_lengths(len(images), captions=captions, **{f"maps of {label}": each for label, each in maps.items()})
    if not len(images):
        return message("No images to explain")
    pictures, count, panels = as_pictures(images), len(images), 1 + len(maps)
    groups = min(count, max(1, 6 // panels))
    across, down, apart = _TILE + 0.14, _TILE + 0.6, 0.3
    width = panels * across + apart - 0.14
    figure = sheet(
        max(_NARROWEST, 2 * MARGIN + groups * width - apart),
        HEAD + 0.1 + math.ceil(count / groups) * down,
        headline or f"The evidence in {count:,} image{'s' * (count != 1)}",
        kind=Plot,
    )
    scale(figure)
    for index, picture in enumerate(pictures):
        left, top = MARGIN + index % groups * width, HEAD + 0.12 + index // groups * down
        write(figure, left, top, fit(captions[index], width - apart, TEXT, "bold"), size=TEXT, weight="bold")
        show(place(figure, left, top + 0.38, _TILE, _TILE), picture)
        for panel, (label, of_method) in enumerate(maps.items(), 1):
            at = left + panel * across
            write(figure, at, top + 0.2, fit(label, _TILE, SMALL), color=MUTED)
            axes = place(figure, at, top + 0.38, _TILE, _TILE)
            show(axes, overlay(picture, of_method[index]))
            if is_empty(of_method[index]):
                say_empty(axes)
    return figure
