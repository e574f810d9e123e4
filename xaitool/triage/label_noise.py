"""Labels that may be wrong: a guess by confident learning (Northcutt et al. 2021, arXiv:1911.00068).

The predictions must be of images that the model was not trained on. A class's threshold is the mean probability that it
gets on images labelled with it. An image whose most probable class among those that reach their thresholds is not its
label is suspect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# At most this part of all labels is suspected. Confident learning alone may flag a third of a model's mistakes, while
# about half a percent of the labels in a well-kept test set are wrong (Northcutt et al. 2021, arXiv:2103.14749).
MOST = 0.01

# Trials, each of which falsifies as many labels as may be suspected: a share of a few labels would be a coarse figure.
TRIALS = 10

# Of the labels that are suspected in the trials, at least this part has to be falsified ones: a suspicion that is wrong
# more often than right sends people to look at labels that are in order.
LEAST_PRECISION = 0.5

# Stands for a class where a label is not suspected.
NOT_SUSPECT = -1


@dataclass(frozen=True)
class Trial:
    """What the guess is worth with these predictions, on labels falsified at random on purpose, :data:`TRIALS` times.

    In each trial as many labels are falsified as may be suspected, so that a perfect guess finds them all and no other.
    found: the part of the falsified labels that was flagged. flagged_otherwise: of all others, which may hold real
    mistakes. precision: the part of the flagged labels that had been falsified; NaN where none was flagged. Labels that
    are really wrong are harder to find: these are mostly of alike classes.
    """

    found: float
    flagged_otherwise: float
    precision: float

    @property
    def convinces(self) -> bool:
        """Whether what is suspected is worth telling."""
        return self.precision >= LEAST_PRECISION

    def as_dict(self) -> dict[str, Any]:
        """As ``triage.json`` has it; None for what is not defined."""
        return {name: None if math.isnan(value) else value for name, value in vars(self).items()}


def suspects(probabilities: Tensor, labels: Tensor, most: float = MOST) -> tuple[Tensor, Tensor]:
    """Where a label is perhaps wrong, the class that is perhaps meant, and by how much it leads.

    The classes are N int64, :data:`NOT_SUSPECT` where there is none; the lead is its probability less the label's, N
    float32, -1..1, NaN where there is none. probabilities: N×classes, held out from training. labels: N int64. Where
    more than a part `most` would be flagged, those stay whose lead is the largest; ties at the cut are dropped.
    """
    own = probabilities.gather(1, labels[:, None])[:, 0]
    reached = probabilities.masked_fill(probabilities < _thresholds(probabilities, labels), -1)
    confidence, guess = reached.max(1)
    flagged = (confidence >= 0) & (guess != labels)
    # Where several classes reach their thresholds the guess is the most probable; its lead may still be negative where
    # the label's own class falls short of a high threshold.
    lead = torch.where(flagged, confidence - own, -torch.inf)
    allowed = int(most * len(labels))
    if int(flagged.sum()) > allowed:
        flagged &= lead > lead.sort(descending=True).values[allowed]
    return torch.where(flagged, guess, NOT_SUSPECT), torch.where(flagged, lead, torch.nan)


def trial(probabilities: Tensor, labels: Tensor, seed: int, most: float = MOST) -> Trial | None:
    """Falsify a part `most` of the labels at random, and see what is flagged; None where that is no label at all."""
    number = int(most * len(labels))
    if not number:
        return None
    generator = torch.Generator().manual_seed(seed)
    found = flagged = 0
    for _ in range(TRIALS):
        rows = torch.randperm(len(labels), generator=generator)[:number]
        others = torch.randint(1, probabilities.shape[1], rows.shape, generator=generator)
        wrong = labels.index_copy(0, rows, (labels[rows] + others) % probabilities.shape[1])
        suspect = suspects(probabilities, wrong, most)[0] != NOT_SUSPECT
        found += int(suspect[rows].sum())
        flagged += int(suspect.sum())
    return Trial(
        found=found / (TRIALS * number),
        flagged_otherwise=(flagged - found) / (TRIALS * (len(labels) - number)),
        precision=found / flagged if flagged else math.nan,
    )


def _thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Per class, its mean probability over the images labelled with it; infinite for a class without any."""
    classes = probabilities.shape[1]
    members = F.one_hot(labels, classes).to(probabilities.dtype)
    mean = (members * probabilities).sum(0) / members.sum(0)
    return torch.where(members.sum(0) > 0, mean, torch.inf)
