"""Select: which test images to explain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xaitool.engine.evaluate import Evaluation
from xaitool.engine.randomness import derive
from xaitool.recipe.schema import SelectSettings


@dataclass(frozen=True)
class Selection:
    """Rows of the test set, misclassified ones first: both int64, in an order drawn from the seed."""

    misclassified: Tensor
    correct: Tensor

    @property
    def rows(self) -> Tensor:
        """All of them."""
        return torch.cat([self.misclassified, self.correct])


def select(evaluation: Evaluation, settings: SelectSettings, seed: int) -> Selection:
    """Draw images, without replacement; all there are where there are fewer than asked for."""
    generator = torch.Generator().manual_seed(derive(seed, "select"))
    order = torch.randperm(len(evaluation.labels), generator=generator)
    correct = evaluation.correct[order]
    return Selection(order[~correct][: settings.misclassified], order[correct][: settings.correct])
