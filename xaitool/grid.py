"""Where the places of an image lie in a layer's output: channels first, channels last, or a row of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

# A side of fewer cells than this points at little more than a corner of the image.
COARSE = 4

# Tokens before the grid: a class token, one for distillation, registers.
_MOST_PREFIX_TOKENS = 10


@dataclass(frozen=True)
class Grid:
    """How the places of an image lie in a layer's output.

    layout: ``"NCHW"``, ``"NHWC"`` or ``"tokens"`` (N×T×C). height, width: of the grid. prefix: tokens that come before
    those of the grid.
    """

    layout: Literal["NCHW", "NHWC", "tokens"]
    height: int
    width: int
    prefix: int = 0

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.height, self.width

    @property
    def cells(self) -> int:
        """How many places it has."""
        return self.height * self.width

    @property
    def coarse(self) -> bool:
        """Whether it has less than 4×4 cells."""
        return min(self.size) < COARSE

    def view(self, output: Tensor) -> Tensor:
        """The layer's output, or a gradient of it, as N×C×h×w; a view."""
        match self.layout:
            case "NCHW":
                return output
            case "NHWC":
                return output.permute(0, 3, 1, 2)
            case "tokens":
                return output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, *self.size)


def grid_of(output: Any, image_size: Sequence[int], prefix: int | None = None) -> Grid | None:
    """The grid of a layer's output for images of (H, W), or None where its shape is that of none larger than 1×1.

    A grid has the image's proportions, as far as a whole number of cells can. prefix: how many tokens come before it,
    where that is known; else the fewest that leave a grid, of exactly the image's proportions if there is such.
    An output that fits N×C×h×w and N×h×w×C is the former.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    match output.shape:
        case (_, _, height, width) if _fits(height, width, image_size):
            return Grid("NCHW", height, width)
        case (_, height, width, _) if _fits(height, width, image_size):
            return Grid("NHWC", height, width)
        case (_, tokens, _):
            before = range(_MOST_PREFIX_TOKENS + 1) if prefix is None else (prefix,)
            grids = [Grid("tokens", *sides, first) for first in before for sides in _factors(tokens - first)]
            fitting = [grid for grid in grids if _fits(*grid.size, image_size)]
            exactly = [grid for grid in fitting if grid.height * image_size[1] == grid.width * image_size[0]]
            return next(iter(exactly + fitting), None)
    return None


def prefix_tokens(module: nn.Module) -> int | None:
    """How many tokens the model itself says stand before the grid, as timm's and some others do."""
    told = getattr(module, "num_prefix_tokens", None)
    return told if isinstance(told, int) else None


def _fits(height: int, width: int, image_size: Sequence[int]) -> bool:
    """Whether cells of one square size make so many rows and columns of an image of (H, W), give or take one."""
    if height * width <= 1 or height > image_size[0] or width > image_size[1]:
        return False
    sides = tuple(zip((height, width), image_size, strict=True))
    least = max(side / (cells + 1) for cells, side in sides)
    most = min(side / (cells - 1) if cells > 1 else math.inf for cells, side in sides)
    return least < most


def _factors(cells: int) -> Iterator[tuple[int, int]]:
    """Every h × w of so many cells."""
    for height in range(1, cells + 1):
        if cells % height == 0:
            yield height, cells // height
