"""Is the map simple? Measures of how few pixels carry it; neither few nor many is better.

Both look at the size of relevance, whatever its sign, on the grid on which the map was computed: scaled up to the
image, a map of 4×4 is smoother than it is simple. The scaling is undone by solving for the coarse map.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.config import NoOptions
from xaitool_metrics.scoring import check, scores, status_of


class Complexity(ABC):
    """What the measures share: each gives a number in [0, 1] to the shares of relevance at the map's native places."""

    aspect: Aspect = "complexity"
    direction: Literal["higher", "lower", "none"] = "none"
    range = (0.0, 1.0)
    needs: frozenset[str] = frozenset()

    def __init__(self, config: NoOptions) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`."""
        check(self, images, targets, maps, given)
        size = given.native_size or (maps.shape[1], maps.shape[2])
        # Scaled to 1 first, so that very large and very small maps have a sum.
        relevance = scaled_down(maps / maps.abs().amax((1, 2), keepdim=True), size).abs().flatten(1)
        status = ["constant map"] * len(maps) if math.prod(size) == 1 else status_of(maps)
        return scores(self, self._spread(relevance / relevance.sum(1, keepdim=True)), status)

    @abstractmethod
    def _spread(self, shares: Tensor) -> Tensor:
        """N numbers from N×places shares, which are ≥ 0 and sum to 1."""


def scaled_down(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The N×h×w maps that were scaled up to these N×H×W ones, bilinearly or in blocks.

    In least squares: exact where the maps were scaled up in one of the two ways, which are tried on each.
    """
    if maps.shape[1:] == size:
        return maps
    bilinear, in_blocks = (_fitted(maps, size, mode) for mode in ("linear", "nearest-exact"))
    better = bilinear[1] <= in_blocks[1]
    return torch.where(better[:, None, None], bilinear[0], in_blocks[0])


def _fitted(maps: Tensor, size: tuple[int, int], mode: str) -> tuple[Tensor, Tensor]:
    """The coarse maps of which these are the nearest to being enlargements, and how far off they are (N)."""
    down, across = (_enlarging(*lengths, mode) for lengths in zip(size, maps.shape[1:], strict=True))
    back_down, back_across = (torch.linalg.pinv(each).to(maps) for each in (down, across))
    coarse = back_down @ maps @ back_across.T
    return coarse, (down.to(maps) @ coarse @ across.to(maps).T - maps).flatten(1).norm(dim=1)


def _enlarging(short: int, long: int, mode: str) -> Tensor:
    """The long×short matrix that enlarges one side of a map."""
    unit = torch.eye(short, dtype=torch.float64)[None]
    return F.interpolate(unit, long, mode=mode, align_corners=False if mode == "linear" else None)[0].T


class Gini(Complexity):
    """Gini index (Chalasani et al. 2020, arXiv:1810.06583): 0 spread evenly, 1 - 1/places on a single place."""

    def _spread(self, shares: Tensor) -> Tensor:
        places = shares.shape[1]
        weights = 2 * torch.arange(1, places + 1, dtype=shares.dtype, device=shares.device) - places - 1
        return (shares.sort(1).values * weights).sum(1) / places


class Entropy(Complexity):
    """Shannon entropy over its greatest value (Bhatt et al. 2020, arXiv:2005.00631): 1 spread evenly, 0 on one."""

    def _spread(self, shares: Tensor) -> Tensor:
        places = max(shares.shape[1], 2)  # a single place is a constant map, and has no score
        entropy: Tensor = torch.special.entr(shares).sum(1) / math.log(places)
        return entropy
