"""Options of what comes from torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, StrictBool, model_validator

from xaitool.config import Config, UserPath
from xaitool.data.options import PictureOptions, Side

DEFAULT_ROOT = "~/.cache/xaitool/torchvision"

# All images of these have one size; those of the others are photographs of any size.
OneSize = Literal["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "USPS", "SVHN", "STL10", "RenderedSST2"]
AnySize = Literal["GTSRB", "DTD", "FGVCAircraft", "Flowers102", "Food101", "OxfordIIITPet", "Country211", "Imagenette"]


# Pixels of a photograph's side, unless the recipe says otherwise.
PHOTOGRAPH = 224


class DataConfig(PictureOptions):
    """One of torchvision's classification data sets, by the name that torchvision gives it."""

    name: OneSize | AnySize = Field(description="The data set.")
    root: UserPath = Field(DEFAULT_ROOT, description="Where its files are, or are put.")
    download: StrictBool = Field(True, description="Fetch its files where root does not have them.")
    size: Side | tuple[Side, Side] | None = Field(
        None,
        description="Pixels of the images' side, or [height, width]. Left out: as they are where all have one size, "
        "else 224.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_one_size(cls, options: Any) -> Any:
        """Here and not where they are read, so that the lock has it, and new images are prepared alike."""
        if isinstance(options, Mapping) and options.get("size") is None and options.get("name") in get_args(AnySize):
            return {**options, "size": PHOTOGRAPH}
        return options


class ModelConfig(Config):
    """One of torchvision's classifiers, by the name that torchvision gives it."""

    name: str = Field(min_length=1, description="The model, as torchvision.models.list_models() has it.")
    weights: str | None = Field(
        None,
        min_length=1,
        description="torchvision's pretrained weights: DEFAULT, or a name such as IMAGENET1K_V2 (fetched once). With "
        "other classes than theirs, the head starts at random.",
    )
    checkpoint: UserPath | None = Field(
        None, description="Weights to start from: a safetensors file, one of torch.save, or a run's folder."
    )
    cam_layers: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers for CAM methods, from input to output; left out: found by running it."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> ModelConfig:
        if self.weights and self.checkpoint:
            raise ValueError("give weights or a checkpoint, not both")
        return self
