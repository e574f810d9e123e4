"""What alike mistakes are recognised by: the network's last features, and where its two classes disagree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Rows and columns to which difference maps are averaged: enough to tell a corner from the middle, little to keep.
GRID = 8


def penultimate(module: nn.Module, images: Tensor) -> Tensor:
    """What goes into the linear layer that gives the logits: N×D float32; the logits where no such layer gives them.

    The module is in eval mode, and no gradients are wanted.
    """
    last: list[tuple[Tensor, Tensor]] = []

    def note(_module: nn.Module, inputs: Any, output: Tensor) -> None:
        if inputs:
            last[:] = [(inputs[0], output)]  # only the latest, for a transformer has many

    hooks = [each.register_forward_hook(note) for each in module.modules() if isinstance(each, nn.Linear)]
    try:
        logits: Tensor = module(images)
    finally:
        for hook in hooks:
            hook.remove()
    gives_logits = last and torch.equal(last[0][1], logits)
    return (last[0][0] if gives_logits else logits).float()


def difference(for_predicted: Tensor, for_true: Tensor) -> Tensor:
    """Where the predicted class has more evidence (above 0) and where the true one has (below): N×8×8 in [-1, 1].

    Maps (N×H×W) are scaled by their largest value first; one with NaN or infinite values counts as empty.
    """
    one, other = _scaled(for_predicted), _scaled(for_true)
    return F.adaptive_avg_pool2d((one - other)[:, None], GRID)[:, 0] / 2


def _scaled(maps: Tensor) -> Tensor:
    maps = torch.where(maps.flatten(1).isfinite().all(1)[:, None, None], maps, 0)
    return maps / maps.abs().amax((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
