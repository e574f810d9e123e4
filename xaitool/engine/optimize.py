"""The optimizer of a recipe, the moving average of the weights, and the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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


def make_share_of_loss(label_smoothing: float, whole: Callable[[], int]) -> Callable[[Tensor, Tensor], Tensor]:
    """What a process's images have of the mean cross-entropy over a batch of which `whole` tells the number of images.

    Added up over all processes it is that mean, and so are the gradients. Labels of -100 do not count.
    """

    def share(logits: Tensor, labels: Tensor) -> Tensor:
        total = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing, reduction="sum")
        return total / whole()

    return share


class WeightAverage:
    """An exponential moving average of a module's weights and buffers (Polyak & Juditsky 1992).

    It remembers little at first, so that early weights do not linger. torch's AveragedModel would do, but waits for the
    device at every update; and to ask both modules for their state takes longer than a GPU does for the average.
    """

    def __init__(self, module: nn.Module, settings: EMASettings) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = settings.decay
        self.updates = 0
        both = zip(_places(self.module), _places(module), strict=True)
        pairs = {mean.now.data_ptr(): (mean, value) for mean, value in both}.values()  # tied weights only once
        self.averaged = [(mean, value) for mean, value in pairs if mean.now.is_floating_point()]
        self.copied = [(mean, value) for mean, value in pairs if not mean.now.is_floating_point()]  # counts of batches
        parts = zip(self.module.modules(), module.modules(), strict=True)
        self.extra = [pair for pair in parts if type(pair[0]).get_extra_state is not nn.Module.get_extra_state]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(*_now(self.averaged), 1 - decay)
        if self.copied:
            torch._foreach_copy_(*_now(self.copied))
        for mean, value in self.extra:
            mean.set_extra_state(value.get_extra_state())


class _Place(NamedTuple):
    """Where a module has a weight or a buffer: not the tensor itself, as modules put others in its place."""

    entries: Mapping[str, Any]
    name: str

    @property
    def now(self) -> Tensor:
        tensor: Tensor = self.entries[self.name]
        return tensor


def _places(module: nn.Module) -> list[_Place]:
    """Of all that is in a module's state."""
    found = []
    for part in module.modules():
        for entries in (part._parameters, part._buffers):
            names = [name for name, each in entries.items() if each is not None]
            found += [_Place(entries, name) for name in names if name not in part._non_persistent_buffers_set]
    return found


def _now(pairs: Sequence[tuple[_Place, _Place]]) -> tuple[list[Tensor], list[Tensor]]:
    return [mean.now for mean, _ in pairs], [value.now for _, value in pairs]
