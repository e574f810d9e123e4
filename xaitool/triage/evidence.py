"""Which pixels are evidence, and what stands in their place when they are taken away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xaitool.engine.randomness import derive

# The part of an image's pixels that counts as a class's evidence.
EVIDENCE = 0.2

# The blur's standard deviation, in sizes of the image's shorter side: wide enough that large silhouettes go, too.
_SIGMA = 1 / 4


def evidence(maps: Tensor, ids: Sequence[str], seed: int) -> Tensor:
    """The most relevant :data:`EVIDENCE` of each map's pixels: N×H×W float32 in, N×H×W bool out.

    Exactly as many pixels in each map. Which of tied pixels are taken is drawn from the seed and the image's id, so
    that the order of the images does not matter.
    """
    flat = maps.flatten(1) + 0.0  # which makes -0.0 a 0.0: some sorts tell them apart
    pixels = flat.shape[1]
    shuffle = torch.stack([torch.randperm(pixels, generator=_generator(seed, name)) for name in ids]).to(flat.device)
    order = shuffle.gather(1, flat.gather(1, shuffle).argsort(dim=1, descending=True, stable=True))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    return chosen.scatter_(1, order[:, : round(EVIDENCE * pixels)], True).view(maps.shape)


def has_order(maps: Tensor) -> Tensor:
    """Whether a map says anything at all: N bool, False for a constant map and for one with NaN or infinite values."""
    flat = maps.flatten(1)
    return flat.isfinite().all(1) & (flat.amax(1) > flat.amin(1))


def blurred(images: Tensor) -> Tensor:
    """Images (N×C×H×W) under a wide Gaussian blur; at the border, weights count only pixels that there are.

    A blur is a weighted mean, so that of a normalised image is the normalised blur of its pixel values.
    """
    sigma = _SIGMA * min(images.shape[2:])
    down, across = (_weights(length, sigma, images) for length in images.shape[2:])
    return down @ images @ across.T


def _weights(length: int, sigma: float, like: Tensor) -> Tensor:
    places = torch.arange(length, dtype=like.dtype, device=like.device)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, "ties", name))
