"""Is the map where the object is? Measures against the true mask, each with the score of a map that knows nothing.

A mask that is empty, or the whole image, has nothing to find: such an image has a status and no score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, cast

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.config import NoOptions
from xaitool_metrics.ranks import relevance_ranks
from xaitool_metrics.scoring import OK, check, scores, status_of


class Localisation(ABC):
    """What the measures share: each gives a share in [0, 1], of which |mask| / pixels is to be had by chance."""

    aspect: Aspect = "localisation"
    direction: Literal["higher", "lower", "none"] = "higher"
    range = (0.0, 1.0)
    needs = frozenset({"mask"})

    def __init__(self, config: NoOptions) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`."""
        check(self, images, targets, maps, given)
        mask = cast("Tensor", given.mask)
        covered = mask.cpu().double().flatten(1).mean(1)
        status = [
            _mask_status(share) if word == OK else word
            for word, share in zip(self._status(maps), covered.tolist(), strict=True)
        ]
        return scores(self, self._share(maps, mask, given), status, chance=covered)

    def _status(self, maps: Tensor) -> list[str]:
        return status_of(maps)

    @abstractmethod
    def _share(self, maps: Tensor, mask: Tensor, given: Given) -> Tensor:
        """The share of each of the N maps."""


class MassInMask(Localisation):
    """Positive mass inside the mask over all positive mass; what speaks against the class (below 0) does not count.

    Also known as relevance mass accuracy (Arras et al. 2022, arXiv:2003.07258).
    """

    def _status(self, maps: Tensor) -> list[str]:
        anything = (maps > 0).flatten(1).any(1).tolist()
        words = status_of(maps)
        return ["no positive mass" if w == OK and not some else w for w, some in zip(words, anything, strict=True)]

    def _share(self, maps: Tensor, mask: Tensor, given: Given) -> Tensor:
        # Scaled to 1, so that very large and very small maps have a sum.
        mass = (maps / maps.amax((1, 2), keepdim=True)).clamp(min=0)
        mass = torch.where(maps > 0, mass, 0)
        return (mass * mask).sum((1, 2)) / mass.sum((1, 2))


class TopKOverlap(Localisation):
    """The share of the |mask| most relevant pixels that lie inside the mask, ties in a random order.

    Also known as relevance rank accuracy (Arras et al. 2022, arXiv:2003.07258).
    """

    def _share(self, maps: Tensor, mask: Tensor, given: Given) -> Tensor:
        size = mask.sum((1, 2))
        top = relevance_ranks(maps, given) < size[:, None, None]
        return (top & mask).sum((1, 2)) / size


class PointingGame(Localisation):
    """1 where the map's maximum lies inside the mask, else 0 (Zhang et al. 2018, arXiv:1608.00507).

    Of several equal maxima, the share that lies inside.
    """

    def _share(self, maps: Tensor, mask: Tensor, given: Given) -> Tensor:
        highest = maps == maps.amax((1, 2), keepdim=True)
        return (highest & mask).sum((1, 2)) / highest.sum((1, 2))


def _mask_status(share: float) -> str:
    return {0.0: "empty mask", 1.0: "full mask"}.get(share, OK)
