"""Judging explainers: every metric's score, the controls on the same images, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from xaitool.contracts import Aspect, Explainer, Given, Metric, Scores, Subject, display
from xaitool.engine.explain import explain
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Placement
from xaitool.errors import MetricError
from xaitool.judge import controls
from xaitool.judge.judgement import CHANCE, DEALT, EDGES, GAUSSIAN, MEAN, SMOOTH, Judgement, Measure, mean_curves
from xaitool.judge.parts import Asked, score
from xaitool.judge.verdict import Comparison, Verdict, of_faithfulness, of_model, of_object

# How often an explainer's maps are dealt to other images; each image's null score is the mean over the deals.
DEALS = 5

# Sets of maps that are scored for one explainer: its own, the dealt ones, and four controls.
SETS_OF_MAPS = 1 + DEALS + 4

Rivals = Mapping[str, Callable[[], list[Tensor]]]


class Judge:
    """Judges explainers of one model on one set of images.

    images: N×C×H×W, normalised. targets: N int64, the classes to explain: as a rule those predicted. ids: N unique
    names. metrics: by label, in the order of the recipe; the first of an aspect decides its verdict. mask: N×H×W bool,
    where the true evidence is known; without it, metrics that need one are left out.
    Raises MetricError where there are fewer than two images.
    """

    def __init__(
        self,
        subject: Subject,
        images: Tensor,
        targets: Tensor,
        ids: Sequence[str],
        metrics: Mapping[str, Metric],
        *,
        runtime: Placement,
        mask: Tensor | None = None,
        seed: int = 0,
        tick: Callable[[int], None] = lambda _images: None,
    ) -> None:
        if len(images) < 2:
            raise MetricError(f"judging takes two images at least, and there are {len(images)}")
        runtime.place(subject.module)
        self.subject = subject
        self.images = runtime.to_device(images)
        self.targets = targets.to(runtime.device)
        self.ids = list(ids)
        self.mask = None if mask is None else mask.to(runtime.device)
        self.metrics = {name: each for name, each in metrics.items() if mask is not None or "mask" not in each.needs}
        self.runtime = runtime
        self.seed = seed
        self.tick = tick
        # Scores of the controls that are the same for every explainer, or for all of the same grid.
        self._shared: dict[tuple[str, str, tuple[int, int]], Scores] = {}

    def deciding(self, aspect: Aspect) -> str | None:
        """The label of the metric on which the verdict of an aspect rests: the first in the recipe."""
        return next((name for name, metric in self.metrics.items() if metric.aspect == aspect), None)

    def values(self, metric: str, explainer: Explainer) -> NDArray[np.float64]:
        """One metric's scores of one explainer: N floats."""
        maps, given = self._explained(explainer)
        scores = self._score(metric, maps, given)
        self.tick(len(self.images))
        return np.asarray(scores.values, np.float64)

    def judge(self, label: str, explainer: Explainer) -> Judgement:
        """Score one explainer and its controls, and say what follows."""
        maps, given = self._explained(explainer)
        grid = given.native_size or (self.images.shape[2], self.images.shape[3])
        measures = tuple(
            Measure.of(name, metric, self._score(name, maps, given), derive(self.seed, "bootstrap", name))
            for name, metric in self.metrics.items()
        )
        self.tick(len(self.images))
        unjudged = Judgement(label, Verdict(None), measures, maps=maps.cpu().numpy())
        return self._against_controls(unjudged, self._rivals(maps, grid), grid)

    def _explained(self, explainer: Explainer) -> tuple[Tensor, Given]:
        """An explainer's maps, and what metrics may use besides."""
        grid = native_size(explainer, self.subject, self.images)
        maps = explain(explainer, self.subject, self.images, self.targets, seed=self.seed, runtime=self.runtime)
        asked = Asked(explainer, self.seed, self.runtime)
        return maps.to(self.runtime.device), Given(self.ids, self.seed, self.mask, asked, grid)

    def _against_controls(self, judgement: Judgement, rivals: Rivals, grid: tuple[int, int]) -> Judgement:
        """Compare with the controls in the measures that decide, as far as they were made."""
        verdict = judgement.verdict
        faithful, on_model, on_object = map(judgement.measure, ("faithfulness", "model", "localisation"))
        if faithful:
            scores = {name: self._rival(faithful.metric, name, sets, grid) for name, sets in rivals.items()}
            compared = self._compare(faithful, scores)
            curves = {name: mean_curves(each) for name, each in scores.items()}
            judgement = replace(judgement, controls=compared, curves=curves)
            verdict = of_faithfulness(compared[0], compared[1:], faithful.coverage)
        if on_model:
            model = of_model(on_model.score)
            # Noise differs from network to network too: maps that say nothing, say nothing of the model either.
            nothing = verdict.faithfulness in ("says nothing", "too few images")
            verdict = replace(verdict, model=None if nothing and model == "about the model" else model)
        if on_object:
            scores = {name: self._rival(on_object.metric, name, sets, grid) for name, sets in rivals.items()}
            compared = self._compare(on_object, {CHANCE: Scores(on_object.chances.tolist()), **scores})
            judgement = replace(judgement, object_controls=compared)
            verdict = replace(verdict, object=of_object(compared[0], compared[1:]))
        return replace(judgement, verdict=verdict)

    def _rivals(self, maps: Tensor, grid: tuple[int, int]) -> Rivals:
        """What an explainer's maps are compared with, made when they are scored."""
        size = (self.images.shape[2], self.images.shape[3])
        return {
            DEALT: lambda: [controls.dealt(maps, self.ids, deal, self.seed) for deal in range(DEALS)],
            SMOOTH: lambda: [controls.random_smooth(self.ids, grid, size, self.seed)],
            GAUSSIAN: lambda: [controls.centred_gaussian(len(self.images), size)],
            EDGES: lambda: [controls.sobel_edges(display(self.images, self.subject.mean, self.subject.std))],
            MEAN: lambda: [controls.mean_map(maps)],
        }

    def _rival(self, metric: str, name: str, sets: Callable[[], list[Tensor]], grid: tuple[int, int]) -> Scores:
        """The scores of a control: image by image, the mean over its sets of maps."""
        key = (metric, name, grid)
        if key in self._shared:
            self.tick(len(self.images))
            return self._shared[key]
        found = []
        for maps in sets():
            given = Given(self.ids, self.seed, self.mask)
            found.append(self._score(metric, maps.to(self.runtime.device), given))
            self.tick(len(self.images))
        scores = _mean_scores(found)
        if name in (SMOOTH, GAUSSIAN, EDGES):
            self._shared[key] = scores
        return scores

    def _score(self, metric: str, maps: Tensor, given: Given) -> Scores:
        processes = self.runtime.processes
        return score(self.metrics[metric], self.subject, self.images, self.targets, maps, given, processes)

    def _compare(self, own: Measure, scores: Mapping[str, Scores]) -> tuple[Comparison, ...]:
        return tuple(
            own.better_than(name, np.asarray(theirs.values, np.float64), derive(self.seed, "bootstrap", name))
            for name, theirs in scores.items()
        )


def native_size(explainer: Explainer, subject: Subject, images: Tensor) -> tuple[int, int]:
    """The grid (h, w) on which an explainer computes its maps: what it says of itself, or the image's own."""
    own = getattr(explainer, "native_size", None)
    height, width = own(subject, images[:1]) if own else images.shape[2:]
    return int(height), int(width)


def _mean_scores(sets: Sequence[Scores]) -> Scores:
    """Image by image, the mean over the sets in which it has a score."""
    values = np.asarray([each.values for each in sets], np.float64)
    have = np.isfinite(values).sum(0)
    mean = np.where(have > 0, np.nansum(values, 0) / np.maximum(have, 1), np.nan)
    names = sets[0].curves
    curves = {name: np.mean([np.asarray(each.curves[name], float) for each in sets], 0) for name in names}
    return Scores(mean.tolist(), curves=curves)
