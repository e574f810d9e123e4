"""Does the map stay as it is where the image hardly changes?"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.batches import evaluating, in_batches
from xaitool_metrics.config import SensitivityConfig
from xaitool_metrics.ranks import drawn
from xaitool_metrics.scoring import OK, check, normalisation, scores, status_of

# Stands for a draw in which the prediction flipped; changes are never negative.
_FLIPPED = -1.0


class MaxSensitivity:
    """The largest ‖map(x') − map(x)‖ / ‖map(x)‖ over random x' near x (Yeh et al. 2019, arXiv:1901.09392).

    In [0, ∞): the lower, the better. Each x' is uniform in the L∞ ball of the radius, in pixel values, and itself an
    image: within black and white. Where the model predicts another class for x' than for x it is another decision that
    is explained: that draw is left out, and an image with no draw left has the status ``"prediction flips"``.
    """

    aspect: Aspect = "stability"
    direction: Literal["higher", "lower", "none"] = "lower"
    range = (0.0, float("inf"))
    needs = frozenset({"explainer"})

    def __init__(self, config: SensitivityConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`."""
        check(self, images, targets, maps, given)
        explain = cast("Any", given.explain)
        draws, size = self.config.draws, self.config.batch_size
        nearby = _Neighbourhood(subject, images, given, self.config.radius / 255)

        def predicted(inputs: Tensor) -> Tensor:
            classes: Tensor = subject.module(inputs).argmax(1)
            return classes

        def changed(pairs: Tensor) -> Tensor:
            some = pairs // draws
            inputs = nearby.draw(some, pairs % draws)
            change = (explain(subject, inputs, targets[some]) - maps[some]).flatten(1).norm(dim=1)
            relative: Tensor = change / maps[some].flatten(1).norm(dim=1)
            return relative.masked_fill(predicted(inputs) != clean[some], _FLIPPED)

        with evaluating(subject.module):
            clean = in_batches(lambda some: predicted(images[some]), len(images), size, like=targets)
            changes = in_batches(changed, len(images) * draws, size, like=images).view(len(images), draws)
        largest = changes.amax(1)
        status = [
            "prediction flips" if word == OK and value == _FLIPPED else word
            for word, value in zip(status_of(maps), largest.tolist(), strict=True)
        ]
        return scores(self, largest, status)


class _Neighbourhood:
    """Random images near the given ones, each the same whenever it is drawn."""

    def __init__(self, subject: Subject, images: Tensor, given: Given, radius: float) -> None:
        mean, std = normalisation(subject, images)
        self.images = images
        self.given = given
        self.radius = radius / std
        self.black, self.white = -mean / std, (1 - mean) / std

    def draw(self, some: Tensor, numbers: Tensor) -> Tensor:
        """Draw number `numbers` of each of the images `some`."""
        names = [f"{self.given.ids[i]}/{n}" for i, n in zip(some.tolist(), numbers.tolist(), strict=True)]
        shape = self.images.shape[1:]
        change = drawn(self.given, "nearby", lambda source: torch.rand(shape, generator=source), names, to=self.images)
        near = self.images[some] + (2 * change - 1) * self.radius
        return near.clamp(self.black, self.white)
