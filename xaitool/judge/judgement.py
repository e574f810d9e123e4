"""What was measured of one explainer, and the verdict on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xaitool.contracts import Metric, Scores
from xaitool.judge.intervals import Interval, interval
from xaitool.judge.verdict import Comparison, Coverage, Verdict, margin_of

Curves = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measure:
    """One metric's score of one explainer.

    score: the mean over images. chance: what a map that knows nothing scores on the same images, where that is known.
    left_out: how many images have no score, by reason. values, chances: N floats, NaN where there is none. curves: name
    -> mean over images at each of ``curves["fraction"]``.
    """

    metric: str
    aspect: str
    direction: str
    range: tuple[float, float]
    score: Interval
    chance: float | None
    left_out: dict[str, int]
    values: NDArray[np.float64] = field(repr=False)
    chances: NDArray[np.float64] = field(repr=False)
    curves: Curves = field(repr=False)

    @classmethod
    def of(cls, name: str, metric: Metric, scores: Scores, seed: int) -> Measure:
        """The scores of a metric, summed up."""
        values = np.asarray(scores.values, np.float64)
        chances = np.asarray(scores.chance, np.float64)
        return cls(
            metric=name,
            aspect=metric.aspect,
            direction=metric.direction,
            range=metric.range,
            score=interval(values, seed),
            chance=float(np.nanmean(chances)) if np.isfinite(chances).any() else None,
            left_out=dict(Counter(word for word in scores.status if word != "ok")),
            values=values,
            chances=chances,
            curves=mean_curves(scores),
        )

    def better_than(self, name: str, theirs: NDArray[np.float64], seed: int) -> Comparison:
        """How much better the explainer scores than a control, image by image, in the metric's own direction."""
        sign = -1 if self.direction == "lower" else 1
        difference = interval(sign * (self.values - theirs), seed)
        return Comparison(name, interval(theirs, seed), difference, margin_of(self.range))

    @property
    def coverage(self) -> Coverage:
        """On how many of the images there is a score."""
        return Coverage(self.score.n, len(self.values), self.left_out)

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {
            "metric": self.metric,
            "aspect": self.aspect,
            "direction": self.direction,
            "range": [each if math.isfinite(each) else None for each in self.range],
            **self.score.as_dict(),
            "chance": self.chance,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class Judgement:
    """What was measured of one explainer, and the verdict.

    measures: one a metric. controls: the comparisons of faithfulness, the dealt maps first. object_controls: those of
    localisation, chance first. curves: the controls' mean perturbation curves, by the control's name.
    """

    explainer: str
    verdict: Verdict
    measures: tuple[Measure, ...]
    controls: tuple[Comparison, ...] = ()
    object_controls: tuple[Comparison, ...] = ()
    curves: Mapping[str, Curves] = field(default_factory=dict, repr=False)

    def measure(self, aspect: str) -> Measure | None:
        """The first measure of an aspect, which is the one that the verdict rests on."""
        return next((each for each in self.measures if each.aspect == aspect), None)

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {
            "words": self.verdict.words(),
            "faithfulness": self.verdict.faithfulness,
            "rival": self.verdict.rival.name if self.verdict.rival else None,
            "images_needed": self.verdict.needed,
            "coverage": self.verdict.coverage.part if self.verdict.coverage else None,
            "model": self.verdict.model,
            "object": self.verdict.object,
            "scores": [each.as_dict() for each in self.measures],
            "controls": [each.as_dict() for each in self.controls],
            "object_controls": [each.as_dict() for each in self.object_controls],
        }


def mean_curves(scores: Scores) -> Curves:
    """Each curve's mean over the images that have a score."""
    have = np.isfinite(np.asarray(scores.values, np.float64))
    curves = {name: np.asarray(curve, np.float64) for name, curve in scores.curves.items()}
    return {name: curve if curve.ndim == 1 or not have.any() else curve[have].mean(0) for name, curve in curves.items()}
