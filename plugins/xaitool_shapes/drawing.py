"""From scenes to pixels: signed distances, turned into coverage, blended back to front.

Canvases are N×3×H×W float32 in [0, 1]; distances and coverages are N×H×W.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xaitool_shapes.outlines import OUTLINES, Floats, length
from xaitool_shapes.scenes import UNIFORMS, Scenes, Strokes, deal

_CHUNK = 1 << 16  # pixels drawn at a time: a few arrays of this size fit into a processor's cache
_HIDDEN_AT_MOST = 1 / 4


def draw(
    stream: tuple[int, int],
    shapes: Sequence[str],
    *,
    size: int,
    clutter: float,
    occlusion: float,
    noise: float,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one picture a name in `shapes`: N×size×size×3 images, and N×size×size masks of what is seen of the objects.

    stream: (seed, split). Picture i depends on the stream, on i, on its shape and on the options, on nothing else.
    """
    images = np.empty((len(shapes), size, size, 3), np.uint8)
    masks = np.empty((len(shapes), size, size), np.bool_)
    step = max(1, _CHUNK // size**2)
    for start in range(0, len(shapes), step):
        names = shapes[start : start + step]
        uniforms, grain = _random(stream, start, len(names), size)
        canvas, seen = _paint(deal(uniforms, clutter, occlusion), names, size)
        canvas = np.clip(canvas + noise * grain, 0, 1)
        images[start : start + step] = np.rint(255 * canvas).transpose(0, 2, 3, 1)
        masks[start : start + step] = seen >= 0.5
    return images, masks


def _random(stream: tuple[int, int], start: int, count: int, size: int) -> tuple[Floats, Floats]:
    """Numbers for pictures from `start`: count×UNIFORMS, even in [0, 1), and count×3×size×size of about unit variance.

    Each picture has a bit generator of its own. Its raw words are used as they come, since numpy promises these, not
    the distributions made of them, to stay the same in later versions.
    """
    seed, split = stream
    values = 3 * size**2
    words = np.empty((count, UNIFORMS + (values + 1) // 2), "<u8")
    for row in range(count):
        own = np.random.SeedSequence(seed, spawn_key=(split, start + row))
        words[row] = np.random.PCG64(own).random_raw(words.shape[1])
    uniforms = (words[:, :UNIFORMS] >> 40).astype(np.float32) / 2**24
    # The sum of four bytes is close enough to a normal distribution, for the eye and for a network.
    halves = np.ascontiguousarray(words[:, UNIFORMS:]).view(np.uint8).reshape(count, -1, 4)[:, :values]
    total = halves[..., 0].astype(np.float32) + halves[..., 1] + halves[..., 2] + halves[..., 3]
    return uniforms, ((total - 510) / 147.8).reshape(count, 3, size, size)


def _paint(scenes: Scenes, names: Sequence[str], size: int) -> tuple[Floats, Floats]:
    """The canvas of each scene, without noise, and how much of the object is seen in each pixel."""
    x, y = _pixel_centres(size)
    canvas = _background(scenes, x, y)
    for index in range(scenes.clutter.shown.shape[1]):
        _blend(canvas, _coverage(_stroke(scenes.clutter, index, x, y), size), scenes.clutter.colours[:, index])

    outline, across = _object(scenes, names, x, y)
    covered = _coverage(outline, size)
    _blend(canvas, covered, scenes.colour, across, scenes.shade)

    hidden = _coverage(_held_back(_stroke(scenes.occluder, 0, x, y), outline), size)
    _blend(canvas, hidden, scenes.occluder.colours[:, 0])
    return canvas, covered * (1 - hidden)


def _pixel_centres(size: int) -> tuple[Floats, Floats]:
    """x, 1×1×W, and y, 1×H×1, in fractions of the side."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return centres[None, None, :], centres[None, :, None]


def _background(scenes: Scenes, x: Floats, y: Floats) -> Floats:
    """A gradient from one colour to another, with soft blobs on it."""
    slope = scenes.slope[:, :, None, None]
    along = np.clip(0.5 + (x - 0.5) * slope[:, 0] + (y - 0.5) * slope[:, 1], 0, 1)
    start, end = scenes.ground[:, 0, :, None, None], scenes.ground[:, 1, :, None, None]
    canvas: Floats = start + along[:, None] * (end - start)
    for index in range(scenes.blob_radii.shape[1]):
        centre, radius = scenes.blob_centres[:, index, :, None, None], scenes.blob_radii[:, index, None, None]
        right, down = x - centre[:, 0], y - centre[:, 1]
        bump = np.maximum(1 - (right * right + down * down) / (radius * radius), 0)
        _blend(canvas, bump * bump, scenes.blob_colours[:, index])
    return canvas


def _stroke(strokes: Strokes, index: int, x: Floats, y: Floats) -> Floats:
    """Distances from the outline of each picture's stroke `index`; far away where it is not shown."""
    centre, direction = strokes.centres[:, index, :, None, None], strokes.directions[:, index, :, None, None]
    right, down = x - centre[:, 0], y - centre[:, 1]
    along = np.abs(right * direction[:, 0] + down * direction[:, 1])
    aside = right * direction[:, 1] - down * direction[:, 0]
    past_end = np.maximum(along - strokes.half_lengths[:, index, None, None], 0)
    distance = length(past_end, aside) - strokes.half_widths[:, index, None, None]
    return np.where(strokes.shown[:, index, None, None], distance, np.float32(9))


def _object(scenes: Scenes, names: Sequence[str], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Distances from the outline of each picture's object, and the coordinate across it, about -1 to 1."""
    centre, turn = scenes.centre[:, :, None, None], scenes.turn[:, :, None, None]
    radius, stretch = scenes.radius[:, None, None], scenes.stretch[:, None, None]
    right, down = (x - centre[:, 0]) / radius, (y - centre[:, 1]) / radius
    across = (right * turn[:, 0] + down * turn[:, 1]) * stretch
    upwards = (down * turn[:, 0] - right * turn[:, 1]) / stretch

    distance = np.empty_like(across)
    of_name = np.array(names)
    for name in set(names):
        rows = of_name == name
        distance[rows] = OUTLINES[name](across[rows], upwards[rows])
    return distance * radius, np.clip(across, -1, 1)


def _held_back(occluder: Floats, outline: Floats) -> Floats:
    """The occluder's distances, pulled in where it would hide more than the allowed part of an object."""
    inside = outline < 0
    depths = np.where(inside, occluder, np.float32(9)).reshape(len(outline), -1)
    allowed = (inside.sum(axis=(1, 2)) * _HIDDEN_AT_MOST).astype(np.int64)
    # As many of the object's pixels as may be hidden are closer in than this.
    limit = np.sort(depths, axis=1)[np.arange(len(depths)), allowed]
    held_back: Floats = occluder - np.minimum(limit, 0)[:, None, None]
    return held_back


def _coverage(distance: Floats, size: int) -> Floats:
    """How much of each pixel is inside, from 0 to 1: a ramp one pixel wide across the outline."""
    return np.clip(0.5 - distance * size, 0, 1)


def _blend(
    canvas: Floats, coverage: Floats, colour: Floats, across: Floats | None = None, shade: Floats | None = None
) -> None:
    """Lay a colour (N×3) over the canvas, in place; with `shade` (N×3) it changes with the coordinate `across`."""
    paint = colour[:, :, None, None]
    if across is not None and shade is not None:
        paint = paint + across[:, None] * shade[:, :, None, None]
    canvas += coverage[:, None] * (paint - canvas)
