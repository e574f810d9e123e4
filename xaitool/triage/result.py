"""All that triage found out, and what follows from it in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from xaitool.engine.randomness import derive
from xaitool.judge.intervals import Interval, interval
from xaitool.triage.decisions import Decisions
from xaitool.triage.groups import Groups
from xaitool.triage.label_noise import NOT_SUSPECT, Trial
from xaitool.triage.table import table
from xaitool.triage.words import by_topic, in_words, opening


@dataclass(frozen=True)
class Share:
    """In which part of the mistakes something helps: own, with the explainer's maps; chance, with random ones.

    lead: the difference, mistake by mistake. All within -1..1, mistakes with a constant map left out.
    """

    own: Interval
    chance: Interval
    lead: Interval

    @classmethod
    def of(cls, own: Tensor, chance: Tensor, seed: int) -> Share:
        """Of N mistakes: 1.0, 0.0 or NaN, and the part of the random draws that helps."""
        return cls(*(interval(values.double().numpy(), seed) for values in (own, chance, own - chance)))

    def as_dict(self) -> dict[str, Any]:
        """As ``triage.json`` has it."""
        return {name: each.as_dict() for name, each in vars(self).items()}


@dataclass(frozen=True)
class Triage:
    """Every misclassified test image, in the order of the test set.

    explainer: the label of the method whose maps were used. tested: how many test images there are. rows: of the N
    mistakes in the test set. true, predicted: N int64. confidence, true_probability: the predicted and the true class's
    probability, N float32. decisions, groups: see there. perhaps: the class that the label should perhaps be, or
    :data:`~xaitool.triage.label_noise.NOT_SUSPECT`: N int64, a guess. perhaps_by: how much more probable than the label
    it is, N float32, NaN where there is none. trial: what that guess is worth.
    """

    explainer: str
    tested: int
    rows: Tensor
    true: Tensor
    predicted: Tensor
    confidence: Tensor
    true_probability: Tensor
    decisions: Decisions
    groups: Groups
    perhaps: Tensor
    perhaps_by: Tensor
    trial: Trial | None
    seed: int

    @property
    def margin(self) -> Tensor:
        """How far the predicted class's probability is above the true one's: N float32, 0..1."""
        return self.confidence - self.true_probability

    @property
    def suspect(self) -> Tensor:
        """Whether the label is perhaps wrong: N bool."""
        return self.perhaps != NOT_SUSPECT

    @property
    def withheld(self) -> bool:
        """Whether there are suspicions that failed their own trial: they stand in the table, and are held against no
        label elsewhere.
        """
        return bool(self.suspect.any()) and self.trial is not None and not self.trial.convinces

    @cached_property
    def corrected(self) -> Share:
        """How often the model is right without the predicted class's evidence."""
        chance = self.decisions.corrected_by_chance
        return Share.of(self.decisions.corrected, chance, derive(self.seed, "bootstrap", "corrected"))

    @cached_property
    def right_alone(self) -> Share:
        """How often the model is right on the true class's evidence alone."""
        chance = self.decisions.right_by_chance
        return Share.of(self.decisions.right, chance, derive(self.seed, "bootstrap", "right"))

    @property
    def mapless(self) -> int:
        """How many mistakes have a constant map for one of the two classes."""
        return int((self.decisions.corrected.isnan() | self.decisions.right.isnan()).sum())

    def most_confident_first(self) -> Tensor:
        """Places 0..N-1 of the mistakes, those that the model is surest of first."""
        return torch.argsort(self.confidence, descending=True, stable=True)

    def csv(self, ids: Sequence[str], classes: Sequence[str]) -> str:
        """``triage.csv``: one row a mistake, in the order of the test set. ids: of all test images."""
        return table(self, ids, classes)

    def summary(self) -> str:
        """A few sentences with figures, each beside what chance would do."""
        return in_words(self)

    def as_dict(self) -> dict[str, Any]:
        """``triage.json``."""
        return {
            "explainer": self.explainer,
            "opening": opening(self),
            "topics": by_topic(self),
            "tested": self.tested,
            "misclassified": len(self.rows),
            "without_a_map": self.mapless,
            "corrected_without_predicted_evidence": self.corrected.as_dict(),
            "right_on_true_evidence_alone": self.right_alone.as_dict(),
            "groups": [each.as_dict() for each in self.groups.groups],
            "label_noise": {
                "is_a_guess": True,
                "suspect": int(self.suspect.sum()),
                "withheld": self.withheld,
                "trial": self.trial.as_dict() if self.trial else None,
            },
        }
