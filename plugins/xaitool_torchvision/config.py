"""Options of what comes from torchvision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool

from xaitool.config import UserPath
from xaitool.data.options import PictureOptions, Side

DEFAULT_ROOT = "~/.cache/xaitool/torchvision"

# All images of these have one size; those of the others are photographs of any size.
OneSize = Literal["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "USPS", "SVHN", "STL10", "RenderedSST2"]
AnySize = Literal["GTSRB", "DTD", "FGVCAircraft", "Flowers102", "Food101", "OxfordIIITPet", "Country211", "Imagenette"]


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
