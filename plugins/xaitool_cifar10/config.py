"""Options of the CIFAR-10 data set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, field_validator

from xaitool import config
from xaitool.data.pipeline import Pipeline
from xaitool.data.shortcut import ShortcutConfig, check_shortcut

DEFAULT_ROOT = "~/.cache/xaitool"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32  # pixels
Positive = Annotated[float, Field(gt=0)]


class Limit(config.Config):
    """How many images to take of each split."""

    train: int | None = Field(None, ge=10, le=50_000, description="Training images; left out: all 50,000.")
    test: int | None = Field(None, ge=10, le=10_000, description="Test images; left out: all 10,000.")


class Config(config.Config):
    """CIFAR-10 (Krizhevsky 2009)."""

    root: config.UserPath = Field(
        DEFAULT_ROOT,
        description="A folder with cifar-10-python.tar.gz or cifar-10-batches-py (downloaded there if it has neither), "
        "or with train/<class>/*.png and test/<class>/*.png.",
    )
    download: StrictBool = Field(True, description="Fetch the official archive where root does not have the data.")
    limit: Limit = Field(Limit(), description="Take a class-balanced subset.")
    shortcut: ShortcutConfig | None = Field(
        None, description="Plant a patch that gives a class away in training, and see who falls for it."
    )
    augment: Pipeline = Field([], description="Albumentations transforms of the training images.")
    test_transform: Pipeline = Field([], description="Albumentations transforms of the test images.")
    mean: tuple[float, float, float] = Field(
        (0.4914, 0.4822, 0.4465), description="Mean of each channel, for pixel values in [0, 1]."
    )
    std: tuple[Positive, Positive, Positive] = Field(
        (0.2470, 0.2435, 0.2616), description="Standard deviation of each channel."
    )

    @field_validator("shortcut")
    @classmethod
    def _of_these_images(cls, shortcut: ShortcutConfig | None) -> ShortcutConfig | None:
        return shortcut and check_shortcut(shortcut, CLASSES, SIDE)
