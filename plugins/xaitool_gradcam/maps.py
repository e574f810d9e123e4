"""From raw evidence on a layer's grid to a map of the image's size, as pytorch-grad-cam scales it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

# Against dividing by zero: the library's.
_EPSILON = 1e-7


def scaled(maps: Tensor) -> Tensor:
    """N×h×w, each from 0 to 1 by its own extremes; one that is the same everywhere is zero."""
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / (maps.amax((1, 2), keepdim=True) + _EPSILON)


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """N×h×w to N×H×W, bilinearly between the cells' middles."""
    return F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]


def combined(raw: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """The map (N×H×W in [0, 1]) of evidence on the grids of one layer or several (N×h×w each), which are averaged.

    Only what speaks for the target counts.
    """
    maps = torch.stack([enlarged(scaled(each.clamp(min=0)), size) for each in raw]).clamp(min=0)
    return scaled(maps.mean(0))
