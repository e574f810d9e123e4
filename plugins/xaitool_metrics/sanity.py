"""Is the map about the model? Its rank correlation with maps that should be different."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool.engine.randomness import derive
from xaitool.errors import MetricError
from xaitool_metrics.batches import evaluating, further_maps, in_batches
from xaitool_metrics.config import BatchConfig, RandomisationConfig
from xaitool_metrics.ranks import spearman
from xaitool_metrics.scoring import OK, check, scores, status_of
from xaitool_metrics.twins import twins


class Randomisation:
    """Spearman's correlation with the maps of the same network with random weights, in [-1, 1]: the lower, the better
    (Adebayo et al. 2018, arXiv:1810.03292; Hedström et al. 2024, arXiv:2401.06465).

    The mean over several random networks (see :mod:`xaitool_metrics.twins`), of the maps as they are, signs included. A
    random network's map that is constant or not finite has no order, and proves nothing: it is left out of the mean,
    and an image that has no other has the status ``"no map of a random network"``.
    """

    aspect: Aspect = "model"
    direction: Literal["higher", "lower", "none"] = "lower"
    range = (-1.0, 1.0)
    needs = frozenset({"explainer"})

    def __init__(self, config: RandomisationConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`.

        With more than one depth there is a curve ``correlation`` over the fraction of layers that are random.
        """
        check(self, images, targets, maps, given)
        depths = self.config.depths
        found = torch.stack(
            [
                _correlation(replace(subject, module=twin), images, targets, maps, given, self.config.batch_size)
                for number in range(self.config.seeds)
                for twin in twins(subject.module, images, derive(given.seed, "metrics", "twin", number), depths)
            ]
        )
        by_depth = found.view(self.config.seeds, depths, len(images)).nanmean(0).T
        curves = {}
        if depths > 1:
            untouched = torch.ones_like(by_depth[:, :1])
            curves = {
                "fraction": [depth / depths for depth in range(depths + 1)],
                "correlation": torch.cat([untouched, by_depth], 1).tolist(),
            }
        last = by_depth[:, -1]
        return scores(self, last, _status(maps, last, "no map of a random network"), curves=curves)


class OtherClass:
    """Spearman's correlation with the map for another class of the same image, in [-1, 1]: the lower, the better
    (Sixt et al. 2020, arXiv:1912.09818).

    The other class is drawn at random for each image. Where its map is constant (no pixel speaks for it, say) or not
    finite, it has no order, and the image has the status ``"no map for another class"``.
    """

    aspect: Aspect = "class"
    direction: Literal["higher", "lower", "none"] = "lower"
    range = (-1.0, 1.0)
    needs = frozenset({"explainer"})

    def __init__(self, config: BatchConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`. Raises MetricError for a model of one class."""
        check(self, images, targets, maps, given)
        if not len(images):
            return scores(self, images.new_zeros(0), [])
        with evaluating(subject.module):
            classes = subject.module(images[:1]).shape[1]
        if classes < 2:
            raise MetricError("there is no other class to compare with: the model has one")
        # As many steps round the circle of classes, short of a whole turn.
        steps = [1 + derive(given.seed, "metrics", "other_class", name) % (classes - 1) for name in given.ids]
        others = (targets + torch.tensor(steps, device=targets.device)) % classes
        found = _correlation(subject, images, others, maps, given, self.config.batch_size)
        return scores(self, found, _status(maps, found, "no map for another class"))


def _correlation(
    subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, batch_size: int
) -> Tensor:
    """The maps' rank correlation with what the explainer says of this subject and targets; NaN without an order."""
    others = further_maps(given, subject, images, targets)
    return in_batches(lambda some: spearman(maps[some], others[some]), len(images), batch_size, like=images)


def _status(maps: Tensor, correlation: Tensor, missing: str) -> list[str]:
    """The maps' own status, or what is missing where a map is fine and has nothing to be compared with."""
    return [
        missing if word == OK and nothing else word
        for word, nothing in zip(status_of(maps), correlation.isnan().tolist(), strict=True)
    ]
