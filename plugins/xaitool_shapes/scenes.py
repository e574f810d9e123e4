"""What is in each picture, before anything is drawn: colours, places, sizes, drawn at random.

Lengths and places are fractions of the image's side, colours are RGB in [0, 1]. N is the number of pictures. A scene is
dealt without a look at its class, so that nothing in it but the outline can tell the class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xaitool_shapes.outlines import Floats, length

UNIFORMS = 192
"""How many random numbers there are for a scene; more than it takes, so that a new detail need not change the noise."""

_BLOBS, _STROKES = 3, 8
_OBJECT_CONTRAST, _OCCLUDER_CONTRAST, _CLUTTER_CONTRAST = 0.5, 0.4, 0.25


@dataclass(frozen=True)
class Strokes:
    """Straight strokes with round ends, K a picture: dots, lines, bars.

    centres N×K×2; directions N×K×2, unit vectors; half_lengths, half_widths N×K; colours N×K×3; shown N×K bool.
    """

    centres: Floats
    directions: Floats
    half_lengths: Floats
    half_widths: Floats
    colours: Floats
    shown: NDArray[np.bool_]


@dataclass(frozen=True)
class Scenes:
    """N pictures to be drawn, back to front.

    ground: N×2×3, the colours at either end of the gradient; slope: N×2, the unit vector it runs along.
    blob_centres N×B×2, blob_radii N×B, blob_colours N×B×3: soft spots of colour.
    clutter: thin lines, small dots and narrow bars.
    centre N×2, radius N, turn N×2 (a unit vector), stretch N (of the outline's x to its y axis), colour N×3,
        shade N×3 (the change of colour across the object): the object.
    occluder: one bar a picture, laid across the object's rim.
    """

    ground: Floats
    slope: Floats
    blob_centres: Floats
    blob_radii: Floats
    blob_colours: Floats
    clutter: Strokes
    centre: Floats
    radius: Floats
    turn: Floats
    stretch: Floats
    colour: Floats
    shade: Floats
    occluder: Strokes


def deal(uniforms: Floats, clutter: float, occlusion: float) -> Scenes:
    """The scenes that N×UNIFORMS random numbers in [0, 1) stand for; `clutter` and `occlusion` as in the config."""
    dice = _Dice(uniforms)
    # Objects are light on a dark ground: were it either way round, a small net would take far longer to learn.
    near = dice(0.05, 0.45, 1, 3)
    ground = np.concatenate([near, np.clip(near + dice(-0.15, 0.15, 1, 3), 0, 1)], axis=1)

    radius = dice(0.25, 0.38)
    # The whole of the object is in the picture, or very nearly.
    margin = 0.95 * radius[:, None]
    centre = margin + dice(0, 1, 2) * (1 - 2 * margin)
    turn, stretch = dice.directions(), dice(0.93, 1.07)
    colour = _apart(dice(0.4, 1, 6, 3), ground, _OBJECT_CONTRAST)

    return Scenes(
        ground=ground,
        slope=dice.directions(),
        blob_centres=dice(0, 1, _BLOBS, 2),
        blob_radii=dice(0.15, 0.5, _BLOBS),
        blob_colours=_tinted(ground, dice(-1, 1, _BLOBS, 3) * clutter),
        clutter=_deal_clutter(dice, ground, clutter),
        centre=centre,
        radius=radius,
        turn=turn,
        stretch=stretch,
        colour=colour,
        shade=dice(-0.12, 0.12, 3),
        occluder=_deal_occluder(dice, centre, radius, np.concatenate([colour[:, None], ground], axis=1), occlusion),
    )


def _deal_clutter(dice: _Dice, ground: Floats, clutter: float) -> Strokes:
    # From dots (no length) to lines (no width) and narrow bars: all of them thinner than the body of any class.
    slimness = dice(0, 1, _STROKES)
    return Strokes(
        centres=dice(0, 1, _STROKES, 2),
        directions=dice.directions(_STROKES),
        half_lengths=np.maximum(dice(-0.2, 0.5, _STROKES), 0),
        half_widths=0.045 - 0.033 * slimness,
        colours=_tinted(ground, dice(-1, 1, _STROKES, 3)),
        shown=dice(0, 1, _STROKES) < clutter,
    )


def _deal_occluder(dice: _Dice, centre: Floats, radius: Floats, others: Floats, occlusion: float) -> Strokes:
    outwards = dice.directions(1)
    across = np.stack([-outwards[..., 1], outwards[..., 0]], axis=-1)
    tilt = dice(-0.5, 0.5, 1, 1)
    direction = across + tilt * outwards
    reach = radius[:, None]
    return Strokes(
        centres=centre[:, None] + outwards * (reach * dice(0.5, 0.9, 1))[..., None],
        directions=direction / length(direction[..., :1], direction[..., 1:]),
        half_lengths=reach * dice(0.5, 1.3, 1),
        half_widths=reach * dice(0.2, 0.38, 1),
        colours=_apart(dice(0, 1, 6, 3), others, _OCCLUDER_CONTRAST)[:, None],
        shown=dice(0, 1, 1) < occlusion,
    )


class _Dice:
    """Deals out the columns of a table of random numbers, one row a picture."""

    def __init__(self, uniforms: Floats) -> None:
        self._uniforms = uniforms
        self._dealt = 0

    def __call__(self, low: float, high: float, *shape: int) -> Floats:
        """N×shape numbers, evenly between low and high."""
        start, self._dealt = self._dealt, self._dealt + math.prod(shape)
        if self._dealt > self._uniforms.shape[1]:
            raise ValueError(f"a scene takes more than {self._uniforms.shape[1]} random numbers")
        dealt = self._uniforms[:, start : self._dealt].reshape(-1, *shape)
        return low + (high - low) * dealt

    def directions(self, *shape: int) -> Floats:
        """N×shape×2 unit vectors of all directions.

        Parabolas stand in for sine and cosine, which are not the same to the last bit on every machine; scaled to unit
        length, the directions are still even to within a few per cent.
        """
        turn = self(-1, 1, *shape)
        quarter_on = np.where(turn > 0.5, turn - 1.5, turn + 0.5)
        y, x = turn * (1 - np.abs(turn)), quarter_on * (1 - np.abs(quarter_on))
        return np.stack([x, y], axis=-1) / length(x, y)[..., None]


def _apart(candidates: Floats, others: Floats, least: float) -> Floats:
    """The first of N×C×3 candidate colours that is `least` away from all of N×O×3 others, or else the farthest: N×3."""
    difference = candidates[:, :, None] - others[:, None]
    red, green, blue = difference[..., 0], difference[..., 1], difference[..., 2]
    nearest = np.sqrt(red * red + green * green + blue * blue).min(axis=2)
    # Beyond `least`, farther is not better.
    chosen = np.minimum(nearest, least).argmax(axis=1)
    colours: Floats = candidates[np.arange(len(candidates)), chosen]
    return colours


def _tinted(ground: Floats, offsets: Floats) -> Floats:
    """Colours N×K×3 near the background's: well short of the object's contrast, so that clutter stays behind it."""
    middle = (ground[:, :1] + ground[:, 1:]) / 2
    colours: Floats = np.clip(middle + _CLUTTER_CONTRAST * offsets, 0, 1)
    return colours
