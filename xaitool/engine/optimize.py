"""The optimizer of a recipe, the moving average of the weights, and the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, AdamW, Optimizer

from xaitool.recipe.schema import AdamWSettings, EMASettings, SGDSettings

# The rate until the scheduler sets its own, which it does before the first step.
_UNSET = 1e-3


def make_optimizer(module: nn.Module, settings: SGDSettings | AdamWSettings) -> Optimizer:
    """The optimizer over a module's trainable parameters; norm layers and biases are not decayed unless asked for."""
    groups = parameter_groups(module, settings.weight_decay, settings.decay_norms_and_biases)
    if isinstance(settings, SGDSettings):
        return SGD(groups, lr=_UNSET, momentum=settings.momentum, nesterov=settings.nesterov)
    return AdamW(groups, lr=_UNSET, betas=settings.betas)


def parameter_groups(module: nn.Module, weight_decay: float, decay_all: bool) -> list[dict[str, Any]]:
    """Weights (two dimensions and more) with decay; vectors and scalars (norms and biases) without."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [p for p in trainable if decay_all or p.ndim >= 2]
    spared = [p for p in trainable if not (decay_all or p.ndim >= 2)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_loss(label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean cross-entropy of logits (N×classes) and labels (N), in float32."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)

    return loss


class WeightAverage:
    """An exponential moving average of a module's weights and buffers (Polyak & Juditsky 1992).

    It remembers little at first, so that early weights do not linger. torch's AveragedModel would do, but waits for the
    device at every update.
    """

    def __init__(self, module: nn.Module, settings: EMASettings) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = settings.decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        both = zip(self.module.state_dict().values(), module.state_dict().values(), strict=True)
        pairs = list({mean.data_ptr(): (mean, value) for mean, value in both}.values())  # tied weights only once
        means, values = zip(*((mean, value) for mean, value in pairs if mean.is_floating_point()), strict=True)
        torch._foreach_lerp_(list(means), list(values), 1 - decay)
        for mean, value in pairs:
            if not mean.is_floating_point():  # batch norm's count of batches
                mean.copy_(value)
