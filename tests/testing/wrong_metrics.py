"""Metrics that break their contract on purpose, most of them in one way only.

What is wrong stands in the name of the class; each is its own factory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from right_metrics import Config as Config
from right_metrics import Deletion, Gini, Jitter, MassInMask, Randomisation
from torch import Tensor

from xaitool.contracts import Given, Scores, Subject


class IsNoMetric:
    def __init__(self, _config: Config) -> None: ...


class HasAnAspectOfItsOwn(MassInMask):
    aspect = "beauty"


class PointsUpwards(MassInMask):
    direction = "up"


class HasItsRangeBackwards(MassInMask):
    range = (1.0, 0.0)


class NeedsMoney(MassInMask):
    needs = frozenset({"money", "mask"})


class ScoresPerCent(MassInMask):
    def one(self, *given: Any) -> float:
        return 100 * super().one(*given)


class ScoresZeroWhereThereIsNone(MassInMask):
    """No value for the few maps that lie in one pixel, and 0 for it."""

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        scores = super().score(subject, images, targets, maps, given)
        few = ((maps != 0).sum((1, 2)) < 2) & (maps.amax((1, 2)) > 0)
        return Scores(
            [0.0 if none else value for value, none in zip(scores.values, few.tolist(), strict=True)],
            ["too sparse" if none else word for word, none in zip(scores.status, few.tolist(), strict=True)],
        )


class ScoresTheBatch(MassInMask):
    def score(self, *given: Any) -> Scores:
        scores = super().score(*given)
        return Scores([sum(scores.values) / len(scores.values)])


class ForgetsChanceLevels(MassInMask):
    def score(self, *given: Any) -> Scores:
        return replace(super().score(*given), chance=[0.5])


class HasItsDirectionBackwards(MassInMask):
    direction = "lower"


class DeletesTheLowestFirst(Deletion):
    def one(self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]) -> float:
        return super().one(subject, image, target, -saliency, given)


class LikesWhatIgnoresTheModel(Randomisation):
    direction = "higher"


class LikesJumpyMaps(Jitter):
    direction = "higher"


class LikesSpreadMaps(Gini):
    direction = "lower"


class ScoresConstantMaps(Deletion):
    """Leaves it to the order in which ties are broken."""

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        constant = maps.amax((1, 2)) == maps.amin((1, 2))
        first = torch.zeros_like(maps)
        first[:, 0, 0] = 1
        return super().score(subject, images, targets, torch.where(constant[:, None, None], first, maps), given)


class ScoresConstantMapsNaN(MassInMask):
    def score(self, *given: Any) -> Scores:
        return replace(super().score(*given), status=())


class FailsForConstantMaps(MassInMask):
    def score(self, *given: Any) -> Scores:
        scores = super().score(*given)
        if "constant map" in scores.status:
            raise ZeroDivisionError("division by zero")
        return scores


class ComparesWithTheBatch(MassInMask):
    def score(self, *given: Any) -> Scores:
        scores = super().score(*given)
        known = [value for value in scores.values if value == value]
        return replace(scores, values=[value / (2 * max(known, default=1.0)) for value in scores.values])


class DrawsByPlace(Deletion):
    """Breaks ties by the image's place in the batch, instead of by its name."""

    def given_one(self, given: Given, row: int) -> dict[str, Any]:
        return {**super().given_one(given, row), "generator": torch.Generator().manual_seed(row)}


class DrawsFromTheGlobalGenerator(MassInMask):
    def one(self, *given: Any) -> float:
        return super().one(*given) * float(torch.rand(()))


class LeavesEvalMode(MassInMask):
    def score(self, subject: Subject, *given: Any) -> Scores:
        scores = super().score(subject, *given)
        subject.module.eval()
        return scores


class RandomisesTheVeryModel(Randomisation):
    def score(self, subject: Subject, *given: Any) -> Scores:
        scores = super().score(subject, *given)
        with torch.random.fork_rng():
            subject.module.get_submodule("head").reset_parameters()
        return scores


class UsesUpRandomNumbers(MassInMask):
    def score(self, *given: Any) -> Scores:
        torch.rand(1)
        return super().score(*given)


class ScalesTheCallersMaps(MassInMask):
    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        maps *= 2
        return super().score(subject, images, targets, maps, given)


class DoesWithoutAMask(MassInMask):
    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        if given.mask is None:
            given = replace(given, mask=torch.ones_like(maps, dtype=torch.bool))
        return super().score(subject, images, targets, maps, given)


class FailsWithoutAnExplainer(Randomisation):
    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        if given.explain is None:
            raise TypeError("'NoneType' object is not callable")
        return super().score(subject, images, targets, maps, given)
