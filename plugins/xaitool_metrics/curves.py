"""Perturbation curves: the target's probability while pixels go or come in order of relevance."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from xaitool.contracts import Given, Subject
from xaitool_metrics.baselines import baseline_images
from xaitool_metrics.batches import evaluating, in_batches, probability
from xaitool_metrics.config import CurveConfig
from xaitool_metrics.ranks import relevance_ranks

Kind = Literal["deletion", "insertion"]


def pixel_counts(pixels: int, steps: int) -> Tensor:
    """How many of the pixels have been replaced at each point of a curve: from 0 to all of them, S+1 int64.

    Whole numbers as evenly spaced as they can be; fewer than S+1 of them where there are fewer pixels than steps.
    """
    counts: Tensor = (torch.linspace(0, 1, steps + 1, dtype=torch.float64) * pixels).round().long().unique()
    return counts


def curve(
    kind: Kind, config: CurveConfig, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given
) -> tuple[Tensor, Tensor]:
    """The fractions of pixels (S+1) and the target's probability at each (N×(S+1)), float64 on the CPU.

    deletion: the most relevant pixels of the image are replaced by the baseline's; insertion: the most relevant pixels
    are put into the baseline image. Read from right to left, the insertion curve is deletion with the least relevant
    first. Curves are kept in the memo, so that metrics share them.
    """
    key = (__name__, kind, config.baseline, config.steps)
    if key not in given.memo:
        given.memo[key] = _curve(kind, config, subject, images, targets, maps, given)
    found: tuple[Tensor, Tensor] = given.memo[key]
    return found


def _curve(
    kind: Kind, config: CurveConfig, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given
) -> tuple[Tensor, Tensor]:
    ranks = relevance_ranks(maps, given)[:, None]
    pixels = maps.shape[1] * maps.shape[2]
    counts = pixel_counts(pixels, config.steps).to(images.device)
    # In the images' memory format, channels last or first: a model is slower in the other.
    before, after = images, torch.empty_like(images).copy_(baseline_images(config.baseline, subject, images, given))
    if kind == "insertion":
        before, after = after, before

    def perturbed(pairs: Tensor) -> Tensor:
        some, count = pairs // len(counts), counts[pairs % len(counts)]
        mixed = torch.where(ranks[some] < count.view(-1, 1, 1, 1), after[some], before[some])
        return probability(subject.module, mixed, targets[some])

    with evaluating(subject.module):
        found = in_batches(perturbed, len(images) * len(counts), config.batch_size, like=images)
    return counts.cpu().double() / pixels, found.cpu().double().view(len(images), len(counts))


def area(fractions: Tensor, values: Tensor) -> Tensor:
    """The area under N curves by the trapezoid rule: N values at fractions that run from 0 to 1."""
    return torch.trapezoid(values, fractions, dim=1)
