"""What was measured of one explainer, and the verdict on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from xaitool.contracts import Metric, Scores
from xaitool.judge.intervals import Interval, interval
from xaitool.judge.verdict import Comparison, Coverage, Verdict, margin_of

Curves = Mapping[str, NDArray[np.float64]]

# The controls by name, as sentences speak of them.
DEALT = "its own maps of other images"
SMOOTH = "a random smooth map"
GAUSSIAN = "a centred Gaussian"
EDGES = "a Sobel edge map"
MEAN = "its own mean map"
CHANCE = "chance"


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
    def images(self) -> int:
        """How many images it was measured on, whether they have a score or not."""
        return self.score.n + sum(self.left_out.values())

    @property
    def coverage(self) -> Coverage:
        """On how many of the images there is a score."""
        return Coverage(self.score.n, self.images, self.left_out)

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

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], curves: Curves) -> Self:
        """Read back, without the scores of the single images, which are not written down."""
        low, high = record["range"]
        none = np.zeros(0)
        return cls(
            metric=record["metric"],
            aspect=record["aspect"],
            direction=record["direction"],
            range=(-math.inf if low is None else low, math.inf if high is None else high),
            score=Interval.from_dict(record),
            chance=record["chance"],
            left_out=record["left_out"],
            values=none,
            chances=none,
            curves=curves,
        )


@dataclass(frozen=True)
class Judgement:
    """What was measured of one explainer, and the verdict.

    measures: one a metric. controls: the comparisons of faithfulness, the dealt maps first. object_controls: those of
    localisation, chance first. curves: the controls' mean perturbation curves, by the control's name. maps: those that
    were judged, N×H×W float32.
    """

    explainer: str
    verdict: Verdict
    measures: tuple[Measure, ...]
    controls: tuple[Comparison, ...] = ()
    object_controls: tuple[Comparison, ...] = ()
    curves: Mapping[str, Curves] = field(default_factory=dict, repr=False)
    maps: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

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
            "coverage": self.verdict.coverage.as_dict() if self.verdict.coverage else None,
            "model": self.verdict.model,
            "object": self.verdict.object,
            "scores": [each.as_dict() for each in self.measures],
            "controls": [each.as_dict() for each in self.controls],
            "object_controls": [each.as_dict() for each in self.object_controls],
        }

    def curves_as_dict(self) -> dict[str, Any]:
        """As ``judged/curves.json`` has them: mean curves of the explainer, by metric, and of its controls, by name."""
        own = {each.metric: as_lists(each.curves) for each in self.measures if each.curves}
        return {"metrics": own, "controls": {name: as_lists(each) for name, each in self.curves.items() if each}}

    @classmethod
    def from_dict(cls, explainer: str, record: Mapping[str, Any], curves: Mapping[str, Any]) -> Self:
        """Read back what :meth:`as_dict` and :meth:`curves_as_dict` gave."""
        controls, object_controls = (
            tuple(Comparison.from_dict(each) for each in record[name]) for name in ("controls", "object_controls")
        )
        coverage = record["coverage"]
        verdict = Verdict(
            faithfulness=record["faithfulness"],
            rival=next((each for each in controls if each.name == record["rival"]), None),
            needed=record["images_needed"],
            model=record["model"],
            object=record["object"],
            coverage=Coverage.from_dict(coverage) if coverage else None,
        )
        own = curves.get("metrics", {})
        measures = tuple(Measure.from_dict(each, as_arrays(own.get(each["metric"], {}))) for each in record["scores"])
        of_controls = {name: as_arrays(each) for name, each in curves.get("controls", {}).items()}
        return cls(explainer, verdict, measures, controls, object_controls, of_controls)


def mean_curves(scores: Scores) -> Curves:
    """Each curve's mean over the images that have a score."""
    have = np.isfinite(np.asarray(scores.values, np.float64))
    curves = {name: np.asarray(curve, np.float64) for name, curve in scores.curves.items()}
    return {name: curve if curve.ndim == 1 or not have.any() else curve[have].mean(0) for name, curve in curves.items()}


def as_lists(curves: Curves) -> dict[str, list[float]]:
    """Curves as JSON has them."""
    return {name: np.asarray(curve, np.float64).round(6).tolist() for name, curve in curves.items()}


def as_arrays(curves: Mapping[str, Sequence[float]]) -> dict[str, NDArray[np.float64]]:
    """Curves read back."""
    return {name: np.asarray(curve, np.float64) for name, curve in curves.items()}
