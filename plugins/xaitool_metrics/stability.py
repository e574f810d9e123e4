"""Does the map stay as it is where the image hardly changes?"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.batches import evaluating, further_maps, in_batches
from xaitool_metrics.config import SensitivityConfig
from xaitool_metrics.ranks import drawn
from xaitool_metrics.scoring import OK, check, normalisation, scores, status_of


class MaxSensitivity:
    """The largest ‖map(x') − map(x)‖ / ‖map(x)‖ over random x' near x (Yeh et al. 2019, arXiv:1901.09392).

    In [0, ∞): the lower, the better. Each x' is uniform in the L∞ ball of the radius, in pixel values, and itself an
    image: within black and white. Where the model predicts another class for x' than for x it is another decision that
    is explained: an image with any such draw is left out, with the status ``"prediction flips"``.
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
        if not len(images):
            return scores(self, images.new_zeros(0), [])
        nearby = _Neighbourhood(subject, images, given, self.config.radius / 255)

        def predicted(inputs: Tensor) -> Tensor:
            size = self.config.batch_size
            return in_batches(lambda some: subject.module(inputs[some]).argmax(1), len(inputs), size, like=targets)

        largest = images.new_zeros(len(images))
        flips = torch.zeros_like(targets, dtype=torch.bool)
        with evaluating(subject.module):
            clean = predicted(images)
            for number in range(self.config.draws):
                inputs = nearby.draw(number)
                flips |= predicted(inputs) != clean
                change = further_maps(given, subject, inputs, targets) - maps
                largest = largest.maximum(_size(change) / _size(maps))
        status = [
            "prediction flips" if word == OK and flip else word
            for word, flip in zip(status_of(maps), flips.tolist(), strict=True)
        ]
        return scores(self, largest, status)


def _size(maps: Tensor) -> Tensor:
    sizes: Tensor = maps.flatten(1).norm(dim=1)
    return sizes


class _Neighbourhood:
    """Random images near the given ones, each the same whenever it is drawn."""

    def __init__(self, subject: Subject, images: Tensor, given: Given, radius: float) -> None:
        mean, std = normalisation(subject, images)
        self.images = images
        self.given = given
        self.radius = radius / std
        self.black, self.white = -mean / std, (1 - mean) / std

    def draw(self, number: int) -> Tensor:
        """Draw `number` of every image."""
        names = [f"{name}/{number}" for name in self.given.ids]
        shape = self.images.shape[1:]
        change = drawn(self.given, "nearby", lambda source: torch.rand(shape, generator=source), names, to=self.images)
        near = self.images + (2 * change - 1) * self.radius
        return near.clamp(self.black, self.white)
