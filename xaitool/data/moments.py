"""Mean and standard deviation of a data set's training images, computed once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xaitool.data.cache import cached_folder

# On so many images, spread over all of them, the figures are exact to four digits.
MOST = 20_000


class Moments(NamedTuple):
    """Per channel, for pixel values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def moments(key: str, count: int, fetch: Callable[[int], Any]) -> Moments:
    """Of all pixels of `count` images, of 20,000 at most; ``fetch(i)`` gives one as H×W×3 uint8.

    key: says which images these are, and how they are transformed; under it the outcome is kept.
    """

    def fill(folder: Path) -> None:
        rows = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int)).tolist()
        (folder / "moments.json").write_text(json.dumps(_moments(fetch, rows)))

    folder = cached_folder(f"moments-{key}", fill)
    mean, std = json.loads((folder / "moments.json").read_text())
    return Moments(tuple(mean), tuple(std))


def _moments(fetch: Callable[[int], Any], rows: list[int]) -> tuple[list[float], list[float]]:
    """From whole-number sums, which come out the same in whatever order they are added."""
    pixels, totals, squares = 0, [0, 0, 0], [0, 0, 0]
    for row in rows:
        values = fetch(row).reshape(-1, 3).astype(np.int64)
        pixels += len(values)
        totals = [total + int(more) for total, more in zip(totals, values.sum(0), strict=True)]
        squares = [total + int(more) for total, more in zip(squares, (values * values).sum(0), strict=True)]
    means = [total / pixels / 255 for total in totals]
    stds = [
        math.sqrt(pixels * square - total * total) / pixels / 255 for total, square in zip(totals, squares, strict=True)
    ]
    return means, [std or 1.0 for std in stds]  # a channel that is the same everywhere is only shifted
