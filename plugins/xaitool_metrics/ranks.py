"""The order of pixels: exact ranks with ties broken at random, and rank correlation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from xaitool.contracts import Given
from xaitool.engine.randomness import derive


def drawn(given: Given, word: str, draw: Callable[[torch.Generator], Tensor], ids: Sequence[str], to: Tensor) -> Tensor:
    """One random tensor an id, stacked: each follows from the run's seed, the word and the id alone.

    draw: what is drawn from a generator on the CPU, so that it is the same on every device. to: whose device the result
    is on.
    """
    tensors = [draw(torch.Generator().manual_seed(derive(given.seed, "metrics", word, name))) for name in ids]
    return torch.stack(tensors).to(to.device) if tensors else to[:0]


def relevance_ranks(maps: Tensor, given: Given) -> Tensor:
    """The rank of every pixel, N×H×W int64: 0 for the most relevant, up to H·W-1; no two are equal.

    Tied pixels, of which a sparse map has many, are put in a random order that depends on the image alone: all metrics
    rank the same map alike.
    """
    key = (__name__, "ranks")
    if key not in given.memo:
        given.memo[key] = _ranks(maps, given)
    ranks: Tensor = given.memo[key]
    return ranks


def _ranks(maps: Tensor, given: Given) -> Tensor:
    flat = maps.flatten(1) + 0.0  # which makes -0.0 a 0.0: some sorts tell them apart
    if not len(flat):
        return torch.zeros_like(maps, dtype=torch.int64)
    pixels = flat.shape[1]
    shuffle = drawn(given, "ties", lambda source: torch.randperm(pixels, generator=source), given.ids, to=flat)
    order = shuffle.gather(1, flat.gather(1, shuffle).argsort(dim=1, descending=True, stable=True))
    places = torch.arange(pixels, device=flat.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(maps.shape)


def spearman(maps: Tensor, others: Tensor) -> Tensor:
    """Spearman's rank correlation of N×H×W maps with others, N float32; NaN where either has no order.

    Tied pixels share the mean of their ranks.
    """
    one, other = (_mean_ranks(each.flatten(1)) for each in (maps, others))
    orderless = ~(others.isfinite() & maps.isfinite()).flatten(1).all(1)
    correlation: Tensor = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    return correlation.masked_fill(orderless, float("nan")).clamp(-1, 1)


def _mean_ranks(flat: Tensor) -> Tensor:
    """Ranks with ties at their mean, shifted and scaled into [-0.5, 0.5]; their mean is 0."""
    ordered = flat.sort(1).values
    below = torch.searchsorted(ordered, flat.contiguous())
    not_above = torch.searchsorted(ordered, flat.contiguous(), right=True)
    pixels = flat.shape[1]
    return (below + not_above - pixels).to(torch.float32) / (2 * pixels)
