"""What stands where a pixel is missing."""

from __future__ import annotations

import torch
from torch import Tensor

from xaitool.contracts import Given, Subject
from xaitool_metrics.config import Baseline
from xaitool_metrics.ranks import drawn
from xaitool_metrics.scoring import normalisation

# The blur's standard deviation, in sizes of the image's shorter side. What is light and dark twice across the image
# keeps up to 3/5 of its contrast at 1/8, and large silhouettes survive; at 1/4 it keeps less than 3/10.
SIGMA = 1 / 4


def baseline_images(kind: Baseline, subject: Subject, images: Tensor, given: Given) -> Tensor:
    """The N×C×H×W images that missing pixels are taken from, normalised like the images."""
    match kind:
        case "blur":
            return blurred(images, SIGMA * min(images.shape[2:]))
        case "mean":
            return torch.zeros_like(images)
        case "black":
            mean, std = normalisation(subject, images)
            return torch.zeros_like(images) - mean / std
        case "noise":
            mean, std = normalisation(subject, images)
            shape = images.shape[1:]
            noise = drawn(given, "noise", lambda source: torch.rand(shape, generator=source), given.ids, to=images)
            return (noise - mean) / std


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images under a Gaussian blur of `sigma` pixels; at the border, weights count only pixels that there are."""
    down, across = (_weights(length, sigma, images) for length in images.shape[2:])
    return down @ images @ across.T


def _weights(length: int, sigma: float, like: Tensor) -> Tensor:
    places = torch.arange(length, dtype=like.dtype, device=like.device)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)
