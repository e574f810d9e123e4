"""Choosing a setting of an explainer (the layer that a CAM method looks at) by measuring, not by habit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xaitool.contracts import Adjustable, Explainer
from xaitool.engine.randomness import derive
from xaitool.errors import MetricError
from xaitool.judge.choice import Choice
from xaitool.judge.intervals import LEVEL, RESAMPLES, Interval, interval
from xaitool.judge.judge import Judge, native_size
from xaitool.judge.verdict import FEWEST, margin_of

# A setting that has a score on fewer of the images (the others' maps being constant) is left out.
_OFTEN = 0.8


def choose(judge: Judge, explainer: Adjustable) -> tuple[Explainer, Choice]:
    """Score every setting of an explainer by the metric that decides its verdict; gives the explainer to use.

    Where that is to be chosen, it is the last setting (of layers: the deepest, which knows most of the class) that the
    best one is not clearly better than: a lead by chance is no reason to leave the usual layer.

    judge: over images that are used for nothing else. An explainer whose setting was given is returned as it is; so is
    its own setting, where there are too few images to choose. Raises MetricError where no metric measures faithfulness.
    """
    metric = judge.deciding("faithfulness")
    if metric is None:
        raise MetricError("choosing a layer takes a metric of faithfulness; add one to explain.metrics (abpc, say)")
    settings = dict(explainer.alternatives(judge.subject))
    used = explainer.current(judge.subject)
    settings.setdefault(used, explainer)
    values = {name: judge.values(metric, each) for name, each in settings.items()}
    often = {name: each for name, each in values.items() if np.isfinite(each).mean() >= _OFTEN or name == used}
    # Compared on the same images: a layer must not win by having no score on the difficult ones.
    shared = np.isfinite(list(often.values())).all(0)
    seed = derive(judge.seed, "bootstrap", "choose")
    scores = {name: interval(np.where(shared, each, np.nan), seed) for name, each in often.items()}
    sign = -1 if judge.metrics[metric].direction == "lower" else 1
    best = max(scores, key=lambda name: np.nan_to_num(sign * scores[name].mean, nan=-np.inf))
    enough = int(shared.sum()) >= FEWEST

    def lead(name: str, rivals: int = 1) -> Interval:
        """How far the best is ahead, at the level of all that could have come out best by chance (Bonferroni)."""
        difference = np.where(shared, sign * (values[best] - values[name]), np.nan)
        return interval(difference, seed, RESAMPLES * rivals, 1 - (1 - LEVEL) / rivals)

    def clear(lead: Interval) -> bool:
        return lead.low > 0 and lead.mean >= margin_of(judge.metrics[metric].range)

    if explainer.automatic:
        used = next(name for name in reversed(often) if not clear(lead(name))) if enough else used
        choice = Choice(metric, scores, used, automatic=enough, too_few=not enough, best=best if used != best else None)
    elif enough and clear(ahead := lead(used, max(1, len(often) - 1))):
        choice = Choice(metric, scores, used, automatic=False, better=best, lead=ahead)
    else:
        choice = Choice(metric, scores, used, automatic=False)
    chosen, left_out = settings[used], tuple(name for name in values if name not in often)
    grid = native_size(chosen, judge.subject, judge.images) if hasattr(chosen, "native_size") else None
    return chosen, replace(choice, left_out=left_out, grid=grid)
