"""Maps that know nothing of the image's class, or nothing of the image: what an explainer has to beat.

All are N×H×W float32; all that is random follows from the seed and the images' ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xaitool.engine.randomness import derive

# Standard deviation of the centred Gaussian, as a part of the image's height and width.
_WIDTH = 0.25


def dealt(maps: Tensor, ids: Sequence[str], deal: int, seed: int) -> Tensor:
    """An explainer's own maps, each given to another image: as smooth, as sparse and as central as the real ones.

    Which image gets whose follows from the ids, not from their order. Needs two images.
    """
    count = len(ids)
    by_id = sorted(range(count), key=ids.__getitem__)
    generator = torch.Generator().manual_seed(derive(seed, "deal", deal))
    circle = [by_id[place] for place in torch.randperm(count, generator=generator).tolist()]
    giver = torch.empty(count, dtype=torch.int64)
    for here, there in zip(circle, circle[1:] + circle[:1], strict=True):  # one circle: nobody keeps his own
        giver[there] = here
    return maps[giver.to(maps.device)]


def random_smooth(ids: Sequence[str], grid: tuple[int, int], size: tuple[int, int], seed: int) -> Tensor:
    """Uniform noise on the explainer's own grid (h, w), scaled to the image's size (H, W) as its maps are."""
    noise = torch.stack(
        [torch.rand(grid, generator=torch.Generator().manual_seed(derive(seed, "random smooth", name))) for name in ids]
    )
    return F.interpolate(noise[:, None], size, mode="bilinear", align_corners=False)[:, 0] if grid != size else noise


def centred_gaussian(count: int, size: tuple[int, int]) -> Tensor:
    """What says "look at the middle": a Gaussian whose standard deviation is a quarter of the image."""
    rows, columns = (torch.exp(-(((torch.arange(n) + 0.5) / n - 0.5) ** 2) / (2 * _WIDTH**2)) for n in size)
    return (rows[:, None] * columns).expand(count, *size).clone()


def sobel_edges(pixels: Tensor) -> Tensor:
    """The gradient's size in the grey image (Sobel's filter). pixels: N×C×H×W in [0, 1]."""
    grey = F.pad(pixels.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=pixels.device)
    gradient = F.conv2d(grey, torch.stack([across, across.T])[:, None])
    return gradient.square().sum(1).sqrt()


def mean_map(maps: Tensor) -> Tensor:
    """For each image, the mean of the explainer's maps of all others, each map scaled by its largest value.

    Maps that are not finite are left out, or one of them would spoil the mean of all.
    """
    finite = maps.isfinite().all(2).all(1)[:, None, None]
    known = maps.where(finite, 0)
    scaled = known / known.abs().amax((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    others = finite.sum() - finite.long()
    return (scaled.sum(0) - scaled) / others.clamp(min=1)
