"""Linear imputation: every missing pixel is the weighted mean of its neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xaitool_metrics.baselines import blurred

# How far the equations may be off in the end, relative to the known pixels.
_TOLERANCE = 1e-6
# Images solved together on a CPU: what conjugate gradients work on then stays in its cache.
_IN_CACHE = 16
# Instead of 0, to divide by.
_TINY = 1e-30


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Fill in the missing pixels (N×1×H×W bool) of N×C×H×W images; those of an image with none left become 0.

    Each is the mean of its eight neighbours, known or missing, with weights 2 beside, above and below and 1 across
    corners, as many as there are at the border (Rong et al. 2022, arXiv:2202.00449). These are as many linear
    equations as there are missing pixels. Their matrix (the weights' sum on the diagonal, minus the weights beside it)
    is symmetric and positive definite, so that conjugate gradients solve all images' systems side by side, without a
    matrix. A system that is solved stands still: the others in its batch do not change it.
    """
    together = _IN_CACHE if images.device.type == "cpu" else max(len(images), 1)
    parts = zip(images.split(together), missing.split(together), strict=True)
    return torch.cat([_impute(some, gone) for some, gone in parts])


def _impute(images: Tensor, missing: Tensor) -> Tensor:
    unknown = missing.to(images.dtype)
    known = 1 - unknown
    kept = images * known
    degree = _neighbours(torch.ones_like(images[:1, :1]))
    solution = _first_guess(kept, known) * unknown
    residual = (_neighbours(kept) - degree * solution + _neighbours(solution)) * unknown
    direction = residual / degree
    slope = _dot(residual, direction)
    enough = _TOLERANCE**2 * _dot(kept, kept) + _TINY
    for _ in range(images.shape[2] * images.shape[3]):
        unsolved = slope > enough
        if not unsolved.any():
            break
        product = (degree * direction).sub_(_neighbours(direction)).mul_(unknown)
        length = torch.where(unsolved, slope / _dot(direction, product).clamp(min=_TINY), 0)
        solution.addcmul_(length, direction)
        residual.addcmul_(length, product, value=-1)
        scaled = residual / degree
        slope, before = torch.where(unsolved, _dot(residual, scaled), slope), slope
        direction = scaled.addcmul_(slope / before.clamp(min=_TINY), direction)
    return kept + solution


def _first_guess(kept: Tensor, known: Tensor) -> Tensor:
    """The mean of the known pixels round about, at a distance of an eighth of the image."""
    sigma = min(kept.shape[2:]) / 8
    return blurred(kept, sigma) / blurred(known, sigma).clamp(min=_TINY)


def _neighbours(images: Tensor) -> Tensor:
    """The weighted sum of the eight neighbours: 1 2 1 / 2 0 2 / 1 2 1, with nothing beyond the border."""
    padded = F.pad(images, (1, 1, 1, 1))
    across = (padded[..., :-2] + padded[..., 2:]).add_(padded[..., 1:-1], alpha=2)
    block = (across[..., :-2, :] + across[..., 2:, :]).add_(across[..., 1:-1, :], alpha=2)
    return block.sub_(images, alpha=4)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((2, 3), keepdim=True)
