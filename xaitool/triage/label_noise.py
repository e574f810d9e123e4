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

# At most this part of all labels is suspected: as many as in the worst of ten well-known test sets (Northcutt et al.
# 2021, arXiv:2103.14749).
MOST = 0.1

# The part of all labels that is falsified on purpose, to see what the guess is worth.
FALSIFIED = 0.05

# Stands for a class where a label is not suspected.
NOT_SUSPECT = -1


@dataclass(frozen=True)
class Trial:
    """What the guess is worth with these predictions, on labels falsified at random on purpose.

    found: the part of the falsified labels that was flagged. flagged_otherwise: of all others, which may hold real
    mistakes. precision: the part of the flagged labels that had been falsified; NaN where none was flagged.
    """

    found: float
    flagged_otherwise: float
    precision: float

    def as_dict(self) -> dict[str, Any]:
        """As ``triage.json`` has it; None for what is not defined."""
        return {name: None if math.isnan(value) else value for name, value in vars(self).items()}


def suspects(probabilities: Tensor, labels: Tensor, most: float = MOST) -> Tensor:
    """The class that is perhaps meant, where the label is perhaps wrong, else :data:`NOT_SUSPECT`: N int64.

    probabilities: N×classes, held out from training. labels: N int64. Where more than a part `most` would be flagged,
    those stay whose guessed class leads the label by most; ties at the cut are dropped.
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
    return torch.where(flagged, guess, NOT_SUSPECT)


def trial(probabilities: Tensor, labels: Tensor, seed: int, part: float = FALSIFIED) -> Trial | None:
    """Falsify a part of the labels at random, and see what is flagged; None where that is no label at all."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(labels), generator=generator)[: round(part * len(labels))]
    classes = probabilities.shape[1]
    if not len(rows):
        return None
    falsified = torch.zeros_like(labels, dtype=torch.bool).index_fill_(0, rows, True)
    wrong = (labels + torch.randint(1, classes, labels.shape, generator=generator)) % classes
    flagged = suspects(probabilities, torch.where(falsified, wrong, labels)) != NOT_SUSPECT
    return Trial(
        found=float(flagged[falsified].double().mean()),
        flagged_otherwise=float(flagged[~falsified].double().mean()),
        precision=float(falsified[flagged].double().mean()),
    )


def _thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Per class, its mean probability over the images labelled with it; infinite for a class without any."""
    classes = probabilities.shape[1]
    members = F.one_hot(labels, classes).to(probabilities.dtype)
    mean = (members * probabilities).sum(0) / members.sum(0)
    return torch.where(members.sum(0) > 0, mean, torch.inf)
