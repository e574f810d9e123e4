"""The classes: one signed distance function a shape.

A function takes the coordinates of points, x and y (float32 arrays of one shape), and returns how far each point is
from the outline: negative inside, positive outside. The unit of length is the object's radius: every shape keeps within
about 1 of the origin, and all are of about the same reach, so that size does not tell them apart. Near the outline the
values are distances or close to it, which is all that antialiasing needs.

Only operations that IEEE 754 rounds exactly (+, -, *, /, square root, comparisons) are used here and in the rest of the
drawing: sines and powers differ in the last bit between processors and numpy versions, and the bytes must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# float32 throughout; numpy's stubs take a float32 array times a Python float for a float64 one, which it is not.
Floats = NDArray[Any]
Outline = Callable[[Floats, Floats], Floats]


def length(x: Floats, y: Floats) -> Floats:
    """The Euclidean norm, by a square root: ``np.hypot`` is not rounded the same everywhere."""
    norm: Floats = np.sqrt(x * x + y * y)
    return norm


def circle(x: Floats, y: Floats) -> Floats:
    """A disc."""
    return length(x, y) - 0.85


def square(x: Floats, y: Floats) -> Floats:
    """A square: two pairs of parallel sides."""
    return _box(x, y, 0.75, 0.75)


def triangle(x: Floats, y: Floats) -> Floats:
    """An equilateral triangle: three half-planes at 120 degrees."""
    return np.maximum(0.8660254 * np.abs(x) + 0.5 * y, -y) - 0.52


def star(x: Floats, y: Floats) -> Floats:
    """A star of five points: folded along its axes of symmetry until one edge is left."""
    x = np.abs(x)
    for axis_x, axis_y in ((0.809017, -0.5877853), (-0.809017, -0.5877853)):
        beyond = 2 * np.maximum(axis_x * x + axis_y * y, 0)
        x, y = x - axis_x * beyond, y - axis_y * beyond
    x, y = np.abs(x), y - 1
    # The edge runs from the tip (now the origin) to the notch, 0.45 times as far out and a tenth of a turn on.
    edge_x, edge_y = 0.45 * 0.5877853, 0.45 * 0.809017 - 1
    along = np.clip((x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y), 0, 1)
    distance = length(x - edge_x * along, y - edge_y * along)
    return np.where(y * edge_x > x * edge_y, distance, -distance)


def cross(x: Floats, y: Floats) -> Floats:
    """A plus sign: two bars at right angles."""
    return np.minimum(_box(x, y, 0.95, 0.3), _box(x, y, 0.3, 0.95))


def ring(x: Floats, y: Floats) -> Floats:
    """An annulus."""
    return np.abs(length(x, y) - 0.68) - 0.22


def crescent(x: Floats, y: Floats) -> Floats:
    """A moon: a disc less another one, shifted."""
    x = x - 0.15  # the moon itself, not the whole disc, sits about the origin
    return np.maximum(length(x, y) - 0.95, 0.78 - length(x - 0.48, y))


def heart(x: Floats, y: Floats) -> Floats:
    """A heart: two overlapping discs, and below them their tangents, which meet in a point."""
    x, y = np.abs(x), y + 0.05
    disc = length(x - 0.43, y - 0.32) - 0.47
    # The tangent from (0, -0.95), and the line through the disc's centre and the point where it touches.
    tangent = 0.77467 * x - 0.63238 * (y + 0.95)
    touching = 0.63238 * (x - 0.43) + 0.77467 * (y - 0.32)
    return np.minimum(disc, np.maximum(np.maximum(tangent, touching), y - 0.32))


def _box(x: Floats, y: Floats, half_width: float, half_height: float) -> Floats:
    # The maximum norm outside the corners keeps them sharp.
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


OUTLINES: Mapping[str, Outline] = {
    outline.__name__: outline for outline in (circle, square, triangle, star, cross, ring, crescent, heart)
}
"""The known classes, by name, in the order of their labels."""
