"""Building timm's networks."""

from __future__ import annotations

from typing import Any, cast

import timm
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from xaitool.contracts import ModelBundle
from xaitool.errors import DataUnavailableError, XaitoolError
from xaitool.models.bundle import bundle_of
from xaitool.models.filling import fill
from xaitool.suggest import did_you_mean
from xaitool_timm.config import ResNet18Config, Stem, TimmConfig

_HUB = ("hf-hub:", "hf_hub:")


def build_resnet18(config: ResNet18Config, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    """A ResNet-18 for `num_classes` classes."""
    module = _create("resnet18", num_classes, input_size, config.pretrained, config.drop_rate)
    return _bundle("resnet18", _with_stem(module, config.stem), config, num_classes, input_size)


def build_timm(config: TimmConfig, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    """Any timm model, or a ResNet with the stages that the recipe gives."""
    if config.layers:
        module = _own_resnet(config, num_classes, input_size[0])
    else:
        module = _create(config.name, num_classes, input_size, config.pretrained, config.drop_rate)
        module = _with_stem(module, config.stem) if config.stem else module
    return _bundle(config.name, module, config, num_classes, input_size, config.cam_layers)


def _create(
    name: str, num_classes: int, input_size: tuple[int, int, int], pretrained: bool, drop_rate: float
) -> nn.Module:
    if not timm.is_model(name.partition(".")[0]) and not name.startswith(_HUB):
        raise XaitoolError(f"timm has no model '{name}'{did_you_mean(name, timm.list_models())}")
    channels, height, width = input_size
    try:
        usual = None if name.startswith(_HUB) else timm.models.get_pretrained_cfg(name)
        # Transformers and mixers are made for one size of image; they can be made for another.
        sized: dict[str, Any] = {"img_size": (height, width)} if usual is not None and usual.fixed_input_size else {}
        return timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, in_chans=channels, drop_rate=drop_rate, **sized
        )
    except OSError as error:  # all of the hub's errors are
        what, instead = ("the pretrained weights of ", "set pretrained: false to start from random weights, or ")
        raise DataUnavailableError(
            f"{what if pretrained else ''}'{name}' could not be fetched ({error}); {instead if pretrained else ''}"
            "run once where there is a network so that they are in the hub's cache"
        ) from error
    except (RuntimeError, TypeError, ValueError) as error:  # an unknown tag, a model that has no weights, ...
        raise XaitoolError(f"timm cannot make '{name}': {error}") from error


def _own_resnet(config: TimmConfig, num_classes: int, channels: int) -> nn.Module:
    layers, widths = cast("tuple[int, ...]", config.layers), cast("tuple[int, ...]", config.widths)
    # timm's plain stem is 64 channels wide whatever the stages are; the deep one can have any width and is replaced.
    # Any: timm annotates the block as an instance and the first convolution as what the deep stem has there.
    module: Any = ResNet(
        cast("Any", BasicBlock),
        layers,
        num_classes=num_classes,
        in_chans=channels,
        channels=widths,
        stem_type="deep",
        stem_width=widths[0] // 2,
        drop_rate=config.drop_rate,
        zero_init_last=False,  # with a block or two a stage, a branch that starts at zero starts late
    )
    module.conv1 = _convolution(channels, widths[0], 7, stride=2)
    return _with_stem(module, config.stem or "imagenet")


def _with_stem(module: nn.Module, stem: Stem) -> nn.Module:
    """Put the stem for small images in the place of a ResNet's own."""
    if stem == "imagenet":
        return module
    first: Any = getattr(module, "conv1", None)
    if not isinstance(module, ResNet) or not isinstance(first, nn.Conv2d):
        raise XaitoolError("stem: cifar is for ResNets with a plain first convolution; leave it out for this model")
    small: Any = module
    small.conv1 = _convolution(first.in_channels, first.out_channels, 3, stride=1)
    small.maxpool = nn.Identity()
    return module


def _convolution(channels: int, width: int, kernel: int, stride: int) -> nn.Conv2d:
    """A first convolution with timm's initial weights."""
    convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def _bundle(
    name: str,
    module: nn.Module,
    config: ResNet18Config | TimmConfig,
    num_classes: int,
    input_size: tuple[int, int, int],
    cam_layers: tuple[str, ...] | None = None,
) -> ModelBundle:
    if config.checkpoint:
        fill(module, config.checkpoint, num_classes)
    weights = config.checkpoint or ("timm's pretrained" if config.pretrained else "")
    advice = _advice(module, input_size)
    return bundle_of(f"model timm: {name}", module, num_classes, input_size, cam_layers, weights, advice)


def _advice(module: nn.Module, input_size: tuple[int, int, int]) -> str:
    """What to do where it takes no such images."""
    _, height, width = input_size
    made_for = getattr(module, "default_cfg", {}).get("input_size", ())
    size = f"; it was made for {'x'.join(map(str, made_for))}" if made_for else ""
    return (
        f"{size}. Resize the {width}x{height} images in the data set's transforms, of training and of test images, or "
        "choose another model"
    )
