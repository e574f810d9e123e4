"""Models that are wrong in one way each, and a right one."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import xaitool
from xaitool.contracts import ModelBundle


class Config(xaitool.Config):
    """No options but one."""

    pretrained: bool = Field(False, description="Say that the weights are.")


class Right(nn.Module):
    """Two convolutions, norms and a classifier."""

    layers: tuple[str, ...] = ("first", "second")

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(16)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.first(images)).relu()
        features = self.norm2(self.second(features)).relu()
        return self.head(self.pool(features).flatten(1))


class DoubleLogits(Right):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).double()


class NoBatchOfOne(Right):
    """A squeeze too many: the classic."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze()


class AlwaysDrops(Right):
    """Functional dropout that does not ask for the mode."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(images), 0.1)


class LooksAtTheBatch(Right):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)


class LosesWeights(Right):
    """A random tensor that is no buffer is not in the state dict."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.offset = torch.rand(classes)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.offset


class NamesItsPartsAnew(Right):
    """Another name in each build."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.register_buffer(f"draw_{int(torch.randint(10**9, ()))}", torch.zeros(1))


class UnusedLayer(Right):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.spare = nn.Linear(16, classes)


class Frozen(Right):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.requires_grad_(False)


class Blind(Right):
    """Gives every image the same logits."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images * 0)


class Loud(Right):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        nn.init.normal_(self.head.weight, std=3.0)


class TwelveTimesAsLoud(Right):
    """Small features and a classifier that is twelve times too large: not sure of itself in each draw."""

    def __init__(self, channels: int, classes: int) -> None:
        nn.Module.__init__(self)
        self.first = nn.Conv2d(channels, 16, 3, padding=1)
        self.second = nn.Identity()
        self.head = nn.Linear(16, classes)
        with torch.no_grad():
            self.head.weight.mul_(12)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(self.first(images)).relu().mean((2, 3)))


class NoSuchLayer(Right):
    layers = ("first", "layer4")


class PooledLayer(Right):
    layers = ("first", "pool")


class IdleLayer(Right):
    layers = ("first", "spare")

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.spare = nn.Identity()


class Backwards(Right):
    layers = ("second", "first")


class Tokens(Right):
    """Patches and a transformer's layer: tokens, N×T×C."""

    layers = ("mix",)

    def __init__(self, channels: int, classes: int) -> None:
        nn.Module.__init__(self)
        self.first = nn.Conv2d(channels, 16, 8, stride=8)
        self.mix = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mix(self.first(images).flatten(2).mT).mean(1))


class UnnamedTokens(Tokens):
    """No layer with an N×C×h×w output that says anything: the one convolution cuts patches."""

    layers = ()


def _factory(network: type[Right]) -> Any:
    def build(config: Config, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
        return ModelBundle(network(input_size[0], num_classes), input_size, network.layers)

    return build


right, tokens, unnamed_tokens = map(_factory, (Right, Tokens, UnnamedTokens))
double_logits, no_batch_of_one = map(_factory, (DoubleLogits, NoBatchOfOne))
always_drops, looks_at_the_batch = map(_factory, (AlwaysDrops, LooksAtTheBatch))
loses_weights, names_its_parts_anew = map(_factory, (LosesWeights, NamesItsPartsAnew))
unused_layer, frozen, blind, loud = map(_factory, (UnusedLayer, Frozen, Blind, Loud))
twelve_times_as_loud = _factory(TwelveTimesAsLoud)
no_such_layer, pooled_layer, idle_layer = map(_factory, (NoSuchLayer, PooledLayer, IdleLayer))
backwards = _factory(Backwards)


def another_size(config: Config, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    return ModelBundle(Right(input_size[0], num_classes), (3, 224, 224), Right.layers)


def bare_module(config: Config, *, num_classes: int, input_size: tuple[int, int, int]) -> nn.Module:
    return Right(input_size[0], num_classes)
