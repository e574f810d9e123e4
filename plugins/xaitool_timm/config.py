"""Options of the timm models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from xaitool import config

Stem = Literal["cifar", "imagenet"]
Count = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=8, multiple_of=2)]


CHECKPOINT = "Weights to start from: a safetensors file, one of torch.save, or a run's folder."


class ResNet18Config(config.Config):
    """ResNet-18 (He et al. 2016, arXiv:1512.03385)."""

    stem: Stem = Field(
        "imagenet",
        description="cifar: 3x3 convolution with stride 1, no max-pooling, for images of 32 pixels or so; "
        "imagenet: 7x7 with stride 2 and max-pooling.",
    )
    pretrained: StrictBool = Field(False, description="Start from timm's ImageNet weights (fetched from the hub).")
    drop_rate: float = Field(0.0, ge=0, lt=1, description="Dropout before the classifier.")
    checkpoint: config.UserPath | None = Field(None, description=CHECKPOINT)

    @model_validator(mode="after")
    def _weights_fit(self) -> ResNet18Config:
        if self.pretrained and self.stem == "cifar":
            raise ValueError("there are no pretrained weights for the cifar stem; leave out pretrained, or the stem")
        return self


class TimmConfig(config.Config):
    """Any timm model; with layers and widths, a ResNet of your own."""

    name: str = Field(
        "resnet",
        min_length=1,
        description="The name in timm, or on the hub as hf-hub:owner/name; 'resnet' with layers and widths.",
    )
    pretrained: StrictBool = Field(False, description="Start from timm's pretrained weights (fetched from the hub).")
    drop_rate: float = Field(0.0, ge=0, lt=1, description="Dropout before the classifier.")
    checkpoint: config.UserPath | None = Field(None, description=CHECKPOINT)
    cam_layers: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers for CAM methods, from input to output; left out: found by running it."
    )
    stem: Stem | None = Field(None, description="For ResNets: see resnet18; left out, the model's own.")
    layers: tuple[Count, ...] | None = Field(None, min_length=4, max_length=4, description="Blocks in each stage.")
    widths: tuple[Width, ...] | None = Field(None, min_length=4, max_length=4, description="Channels of each stage.")

    @model_validator(mode="after")
    def _own_resnet(self) -> TimmConfig:
        given = (self.layers is not None, self.widths is not None)
        if self.name == "resnet" and not all(given):
            raise ValueError("give layers and widths (a ResNet of your own), or the name of a timm model")
        if self.name != "resnet" and any(given):
            raise ValueError("layers and widths go with the name 'resnet'")
        if self.layers and self.widths and len(self.layers) != len(self.widths):
            raise ValueError(f"layers has {len(self.layers)} stages and widths has {len(self.widths)}")
        if self.pretrained and (self.layers or self.stem == "cifar"):
            raise ValueError("there are no pretrained weights for a ResNet of your own or with the cifar stem")
        return self
