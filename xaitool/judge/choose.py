"""Choosing a setting of an explainer (the layer that a CAM method looks at) by measuring, not by habit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaitool.contracts import Adjustable, Explainer
from xaitool.engine.randomness import derive
from xaitool.errors import MetricError
from xaitool.judge.intervals import LEVEL, RESAMPLES, Interval, interval
from xaitool.judge.judge import Judge
from xaitool.judge.verdict import FEWEST, margin_of

# A setting that has a score on fewer of the images (the others' maps being constant) is left out.
_OFTEN = 0.8


@dataclass(frozen=True)
class Choice:
    """The settings of an explainer that were tried, and which of them is used.

    metric: what they were scored by. scores: by setting, over the images on which all of them have one. used: the
    setting in use; automatic: whether it was chosen here, as the best; too_few: whether it was to be, and there were
    too few images. better: another that is better beyond chance and by enough to mean anything, where the one in use
    was given; lead: by how much, image by image, the interval being as much wider as there are settings that could
    have come out best (Bonferroni).
    """

    metric: str
    scores: Mapping[str, Interval]
    used: str
    automatic: bool
    better: str | None = None
    lead: Interval | None = None
    too_few: bool = False

    def words(self) -> str | None:
        """What a reader should know of it, where there is anything."""
        if self.automatic:
            return f"looks at {self.used}, the most faithful of {len(self.scores)} layers"
        if self.too_few:
            return f"looks at {self.used}, as it does by itself: too few images to choose a layer"
        if self.better and self.lead:
            return f"looks at {self.used}; {self.better} would be clearly more faithful ({self.lead})"
        return None

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {
            "metric": self.metric,
            "used": self.used,
            "automatic": self.automatic,
            "too_few": self.too_few,
            "better": self.better,
            "lead": self.lead.as_dict() if self.lead else None,
            "scores": {name: each.as_dict() for name, each in self.scores.items()},
        }


def choose(judge: Judge, explainer: Adjustable) -> tuple[Explainer, Choice]:
    """Score every setting of an explainer by the metric that decides its verdict; gives the explainer to use.

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
    if explainer.automatic:
        used = best if enough else used
        return settings[used], Choice(metric, scores, used, automatic=enough, too_few=not enough)
    # The best of many is ahead by chance too, so its lead is tested at the level of all that could have been it.
    rivals = max(1, len(often) - 1)
    difference = np.where(shared, sign * (values[best] - values[used]), np.nan)
    lead = interval(difference, seed, RESAMPLES * rivals, 1 - (1 - LEVEL) / rivals)
    if enough and lead.low > 0 and lead.mean >= margin_of(judge.metrics[metric].range):
        return settings[used], Choice(metric, scores, used, False, best, lead)
    return settings[used], Choice(metric, scores, used, False)
