"""Running the model over many images, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Given, Subject
from xaitool.errors import MetricError


def in_batches(work: Callable[[Tensor], Tensor], count: int, size: int, like: Tensor) -> Tensor:
    """Concatenate ``work(indices)`` over all of ``range(count)``, `size` indices at a time.

    work: n int64 indices in, n results out. Batches are halved where memory runs out, down to single images. like: its
    device is where the indices are, and its dtype that of the empty result where there is nothing to do.
    """
    indices = torch.arange(count, device=like.device)
    results: list[Tensor] = []
    done = 0
    while done < count:
        result = _unless_out_of_memory(work, indices[done : done + size], last=size == 1)
        if result is None:
            size = (min(size, count - done) + 1) // 2
        else:
            results.append(result)
            done += len(result)
    return torch.cat(results) if results else like.new_empty(0)


def further_maps(given: Given, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """The explainer's maps (N×H×W) of other images, classes or networks, to compare with those that are scored.

    All are asked for at once, as those were: an explainer that draws at random then draws the same for both, and the
    draws alone make no difference. It keeps to batches of its own; where they do not fit, they are halved here.
    """
    explain = cast("Any", given.explain)

    def maps_of(some: Tensor) -> Tensor:
        found: Tensor = explain(subject, images[some], targets[some])
        return found

    return in_batches(maps_of, len(images), len(images), like=images)


def _unless_out_of_memory(work: Callable[[Tensor], Tensor], indices: Tensor, last: bool) -> Tensor | None:
    # A function of its own: when it has returned, nothing holds on to the failed batch.
    try:
        return work(indices)
    except RuntimeError as error:
        if last or not _out_of_memory(error):
            raise
        return None


def _out_of_memory(error: RuntimeError) -> bool:
    message = str(error).lower()
    kinds = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(kind in message for kind in kinds)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in eval mode and without gradients, borrowed."""
    with borrowed(module), torch.no_grad():
        module.eval()
        yield


def probability(module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The targets' softmax probabilities, N float32. Raises MetricError for a class out of range."""
    logits = module(images)
    classes = logits.shape[1]
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        raise MetricError(
            f"targets lie in {int(targets.min())}..{int(targets.max())}, the model's classes in 0..{classes - 1}"
        )
    found: Tensor = logits.float().softmax(1).gather(1, targets.long()[:, None])[:, 0]
    return found
