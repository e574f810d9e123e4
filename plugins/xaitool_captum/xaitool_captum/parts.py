"""The modules that captum hooks in place of a model's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import Tensor, nn


class Step(nn.Module):
    """One linear operation. rule: captum's, which finds it here. weight: a copy that the rule may change."""

    def __init__(self, rule: EpsilonRule | GammaRule, weight: Tensor | None = None) -> None:
        super().__init__()
        self.rule = rule
        self.weight = weight
        self.run: Callable[..., Tensor] = _unbound

    def bind(self, function: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Take over the function and all its arguments but those that a gradient comes back from."""

        def run(*flowing: Tensor) -> Tensor:
            values = iter(flowing)
            filled = [next(values) if flows(value) else value for value in args]
            if self.weight is not None:
                filled[1] = self.weight
            return function(*filled, **kwargs)

        self.run = run

    def forward(self, *flowing: Tensor) -> Tensor:
        """Do the operation that is bound."""
        return self.run(*flowing)


def _unbound(*_flowing: Tensor) -> Tensor:
    raise RuntimeError("an operation is bound before it is done")


class MaxPool(nn.Module):
    """Max pooling, every window of it a tile of its own.

    captum's DeepLIFT rule counts a pixel in one window only, so that with overlapping windows (3 × 3 at a stride of 2,
    as in a ResNet's stem) attributions no longer sum to the difference of the scores. On tiles it is right.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **kwargs: Any
    ) -> None:
        super().__init__()
        self.kernel, self.padding, self.dilation = _pair(kernel_size), _pair(padding), _pair(dilation)
        self.stride = _pair(stride or kernel_size)
        self.ceil_mode = bool(kwargs.get("ceil_mode"))
        self.pool = nn.MaxPool2d(self.kernel)

    def forward(self, values: Tensor) -> Tensor:
        """N×C×H×W in, N×C×h×w out."""
        kernel = (self.kernel, self.stride, self.padding, self.dilation)
        places = F.max_pool2d(values.detach(), *kernel, ceil_mode=self.ceil_mode).shape[2:]
        borders: list[int] = []
        for axis in (1, 0):  # F.pad starts with the last
            reach = (places[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1
            borders += [self.padding[axis], reach - values.shape[2 + axis] - self.padding[axis]]
        # Lower than any value, but finite: captum takes differences.
        padded = F.pad(values, borders, value=torch.finfo(values.dtype).min / 4)
        windows = F.unfold(padded, self.kernel, self.dilation, 0, self.stride)
        tiles = windows.unflatten(1, (values.shape[1], *self.kernel)).unflatten(4, places).permute(0, 1, 4, 2, 5, 3)
        pooled: Tensor = self.pool(tiles.flatten(4, 5).flatten(2, 3))
        return pooled


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def flows(value: Any) -> bool:
    """Whether a gradient comes back from here to the image (parameters are frozen)."""
    return isinstance(value, Tensor) and value.requires_grad
