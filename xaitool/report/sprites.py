"""Many small pictures in few files: sheets of tiles, as data URIs that travel inside an HTML page.

A picture of at most 64 pixels a side is kept bit for bit (PNG), a larger one as JPEG. A saliency map has 8 bits between
its own least and greatest value, which are kept beside it, so that a page can give back its values.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

BUDGET: Final = 20_000_000  # bytes: a report that still goes by mail
_LOSSLESS: Final = 64  # pixels: the longer side of the largest picture that is kept bit for bit
_QUALITY: Final = 85
_BLOCK: Final = 8  # pixels: a JPEG's tiles begin at its blocks, so that no tile's colours leak into the next
_SHEET: Final = 1024  # pixels: a sheet is decoded as a whole, so it stays small
_TILES: Final = 8  # in a row, and in a column
# The longer sides of pictures and of maps, best first. Maps are smoother, and may be smaller.
_SIDES: Final = ((256, 64), (224, 64), (192, 56), (160, 48), (128, 40), (112, 36), (96, 32), (80, 28), (64, 24))


@dataclass(frozen=True)
class Sheets:
    """Tiles of width × height pixels on sheets of columns × rows of them, filled row by row; the last may be shorter.

    step: pixels from the left edge of a tile to that of the next, and from the upper edge likewise. uris: one a sheet.
    """

    width: int
    height: int
    step: tuple[int, int]
    columns: int
    rows: int
    uris: tuple[str, ...]

    @property
    def size(self) -> int:
        """Characters that the sheets take in a page."""
        return sum(map(len, self.uris))


@dataclass(frozen=True)
class MapSheets:
    """Maps as grey tiles: a pixel of c, from 0 to 255, stands for ``low + (high - low) * c / 255`` of its map."""

    sheets: Sheets
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def size(self) -> int:
        """Characters that the maps take in a page."""
        return self.sheets.size + sum(len(f"{value},") for value in (*self.low, *self.high))


@dataclass(frozen=True)
class Packed:
    """What fits: the first `count` pictures, and the same images' maps, set by set."""

    count: int
    pictures: Sheets
    maps: tuple[MapSheets, ...]

    @property
    def size(self) -> int:
        """Characters that all of it takes in a page."""
        return self.pictures.size + sum(each.size for each in self.maps)


def fit(pictures: Array, maps: Sequence[Array] = (), budget: float = BUDGET, besides: float = 0) -> Packed:
    """Pack pictures (N×H×W×3 uint8, N ≥ 1) and sets of maps (N×h×w floats each) into `budget` bytes.

    Their sides are reduced step by step until they fit; where even the smallest do not, as many of the first images as
    do, but at least one. Nothing is ever enlarged. besides: bytes that a page needs for each image anyway.
    """
    count = len(pictures)
    sample = np.unique(np.linspace(0, count - 1, min(count, _TILES * _TILES)).astype(int))
    for picture_side, map_side in _distinct(pictures, maps):
        # To pack thousands of images takes seconds: a few of them tell whether it is worth while.
        some = _pack(pictures[sample], [each[sample] for each in maps], picture_side, map_side)
        each_takes = some.size / len(sample) + besides
        if count * each_takes > 1.02 * budget:
            continue
        packed = _pack(pictures, maps, picture_side, map_side)
        if packed.size + count * besides <= budget:
            return packed

    count = min(count, int(budget / each_takes) + 1)
    while True:
        packed = _pack(pictures[:count], [each[:count] for each in maps], picture_side, map_side)
        if count == 1 or packed.size + count * besides <= budget:
            return packed
        count = max(1, int(0.97 * count))


def pack_pictures(pictures: Array, side: int = _SIDES[0][0]) -> Sheets:
    """Pictures (N×H×W×3 uint8) as tiles whose longer side is at most `side` pixels."""
    shape = pictures.shape[1:3]
    lossless = max(shape) <= _LOSSLESS
    height, width = _reduced(shape, side)
    scaled = (_scaled_pictures(some, (height, width)) for some in _batches(pictures, *_steps(height, width, lossless)))
    return _sheets(scaled, height, width, lossless)


def pack_maps(maps: Array, side: int = _SIDES[0][1]) -> MapSheets:
    """Maps (N×h×w, any floats) as tiles whose longer side is at most `side`; what is not finite counts as 0."""
    height, width = _reduced(maps.shape[1:3], side)
    tiles, low, high = [], [], []
    for some in _batches(maps, *_steps(height, width, True)):
        finite = np.nan_to_num(np.asarray(some, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        scaled = _scaled_maps(finite, (height, width)).astype(float)
        least, most = scaled.min((1, 2)), scaled.max((1, 2))
        extent = np.where(most > least, most - least, 1)
        tiles.append(np.rint(255 * (scaled - least[:, None, None]) / extent[:, None, None]).astype(np.uint8))
        low += [float(f"{value:.9g}") for value in least]  # nine digits give a float32 back exactly
        high += [float(f"{value:.9g}") for value in most]
    return MapSheets(_sheets(iter(tiles), height, width, True), tuple(low), tuple(high))


def _pack(pictures: Array, maps: Sequence[Array], picture_side: int, map_side: int) -> Packed:
    return Packed(
        len(pictures), pack_pictures(pictures, picture_side), tuple(pack_maps(each, map_side) for each in maps)
    )


def _distinct(pictures: Array, maps: Sequence[Array]) -> list[tuple[int, int]]:
    """The steps that make a difference to these images."""
    largest_map = max((max(each.shape[1:3]) for each in maps), default=1)
    actual = [(min(one, max(pictures.shape[1:3])), min(other, largest_map)) for one, other in _SIDES]
    return [actual[0]] + [new for old, new in pairwise(actual) if new != old]


def _reduced(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Height and width with the longer of them at most `side`, in the same proportion."""
    scale = min(1, side / max(shape))
    return max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))


def _steps(height: int, width: int, lossless: bool) -> tuple[tuple[int, int], int, int]:
    """From tile to tile across and down, and how many tiles there are in a row and in a column."""
    block = 1 if lossless else _BLOCK
    across, down = -(-width // block) * block, -(-height // block) * block
    return (across, down), min(_TILES, max(1, _SHEET // across)), min(_TILES, max(1, _SHEET // down))


def _batches(tiles: Array, step: tuple[int, int], columns: int, rows: int) -> Iterator[Array]:
    """The tiles of one sheet after another."""
    for start in range(0, len(tiles), columns * rows):
        yield tiles[start : start + columns * rows]


def _scaled_pictures(pictures: Array, shape: tuple[int, int]) -> Array:
    if pictures.shape[1:3] == shape:
        return np.asarray(pictures)
    resized = [Image.fromarray(each).resize(shape[::-1], Image.Resampling.LANCZOS) for each in pictures]
    return np.stack([np.asarray(each) for each in resized])


def _scaled_maps(maps: Array, shape: tuple[int, int]) -> Array:
    """A smaller map's pixel is the mean of those it stands for."""
    if maps.shape[1:3] == shape:
        return maps
    resized = [Image.fromarray(each).resize(shape[::-1], Image.Resampling.BOX) for each in maps]
    return np.stack([np.asarray(each) for each in resized])


def _sheets(batches: Iterator[Array], height: int, width: int, lossless: bool) -> Sheets:
    step, columns, rows = _steps(height, width, lossless)
    uris = tuple(_uri(_sheet(tiles, step, columns), "PNG" if lossless else "JPEG") for tiles in batches)
    return Sheets(width, height, step, columns, rows, uris)


def _sheet(tiles: Array, step: tuple[int, int], columns: int) -> Array:
    """Tiles side by side, row by row; what is between them goes on with their edges."""
    (across, down), (count, height, width) = step, tiles.shape[:3]
    per_pixel = [(0, 0)] * (tiles.ndim - 3)
    tiles = np.pad(tiles, [(0, 0), (0, down - height), (0, across - width), *per_pixel], mode="edge")
    columns = min(columns, count)
    rows = -(-count // columns)
    tiles = np.pad(tiles, [(0, rows * columns - count), (0, 0), (0, 0), *per_pixel])
    grid = tiles.reshape(rows, columns, down, across, *tiles.shape[3:]).swapaxes(1, 2)
    return grid.reshape(rows * down, columns * across, *tiles.shape[3:])


def _uri(sheet: Array, kind: Literal["PNG", "JPEG"]) -> str:
    stream = io.BytesIO()
    if kind == "PNG":
        Image.fromarray(sheet).save(stream, "PNG")
    else:
        # Colours at full resolution: they are what one looks at.
        Image.fromarray(sheet).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
