"""What the model decides when a class's evidence is taken away, or is all that is left; and what chance would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from xaitool.engine.randomness import derive
from xaitool.judge.controls import random_smooth
from xaitool.triage.evidence import blurred, evidence, has_order

# How many random maps stand for chance on each image.
DRAWS = 3

# Stands for a class where a map has no order of pixels, and nothing follows from it.
NO_MAP = -1

_BATCH = 64


@dataclass(frozen=True)
class Mistakes:
    """Misclassified images and their maps, on one device.

    ids: N unique names. images: N×C×H×W, normalised. true: N int64. for_predicted, for_true: maps of the predicted and
    of the true class, N×H×W float32. grid: (h, w) on which the explainer computed them.
    """

    ids: Sequence[str]
    images: Tensor
    true: Tensor
    for_predicted: Tensor
    for_true: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class Decisions:
    """What became of N mistakes; all on the CPU.

    without, alone: the classes predicted (int64) when the predicted class's evidence is blurred, and when all but the
    true class's evidence is; :data:`NO_MAP` where the map is constant. true_probability_without,
    true_probability_alone: of the true class in these pictures (float32), NaN where there is no map. corrected, right:
    1.0 where the class is then the true one, else 0.0, NaN where there is no map. corrected_by_chance, right_by_chance:
    in which part of :data:`DRAWS` it would be, were as many pixels chosen by a random smooth map.
    """

    without: Tensor
    true_probability_without: Tensor
    alone: Tensor
    true_probability_alone: Tensor
    corrected: Tensor
    right: Tensor
    corrected_by_chance: Tensor
    right_by_chance: Tensor

    @classmethod
    def join(cls, parts: Sequence[Decisions]) -> Decisions:
        """The decisions on several lots of mistakes as one."""
        return cls(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(cls)))


def decide(module: nn.Module, mistakes: Mistakes, seed: int) -> Decisions:
    """Take evidence away, and keep it alone. The module is in eval mode, and no gradients are wanted.

    All that is drawn at random for an image follows from the seed and its id.
    """
    background = blurred(mistakes.images)

    def without(maps: Tensor) -> tuple[Tensor, Tensor]:
        chosen = evidence(maps, mistakes.ids, seed)[:, None]
        return _decision(module, torch.where(chosen, background, mistakes.images), mistakes.true)

    def alone(maps: Tensor) -> tuple[Tensor, Tensor]:
        chosen = evidence(maps, mistakes.ids, seed)[:, None]
        return _decision(module, torch.where(chosen, mistakes.images, background), mistakes.true)

    random = [
        random_smooth(mistakes.ids, mistakes.grid, _size(mistakes.images), derive(seed, "draw", draw)).to(background)
        for draw in range(DRAWS)
    ]
    one, other = has_order(mistakes.for_predicted), has_order(mistakes.for_true)
    (class_without, probability_without), (class_alone, probability_alone) = (
        without(mistakes.for_predicted),
        alone(mistakes.for_true),
    )
    return Decisions(
        without=class_without.masked_fill(~one, NO_MAP).cpu(),
        true_probability_without=_where(one, probability_without),
        alone=class_alone.masked_fill(~other, NO_MAP).cpu(),
        true_probability_alone=_where(other, probability_alone),
        corrected=_where(one, class_without == mistakes.true),
        right=_where(other, class_alone == mistakes.true),
        corrected_by_chance=_where(one, _share([without(maps)[0] for maps in random], mistakes.true)),
        right_by_chance=_where(other, _share([alone(maps)[0] for maps in random], mistakes.true)),
    )


def _decision(module: nn.Module, images: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """The class predicted, and the true class's probability."""
    logits = torch.cat([module(some) for some in images.split(_BATCH)]).float()
    return logits.argmax(1), logits.softmax(1).gather(1, true[:, None])[:, 0]


def _share(found: Sequence[Tensor], true: Tensor) -> Tensor:
    return torch.stack([classes == true for classes in found]).float().mean(0)


def _where(there: Tensor, values: Tensor) -> Tensor:
    return values.float().masked_fill(~there, float("nan")).cpu()


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]
