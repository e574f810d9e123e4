"""The options of the data set ``shapes``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from xaitool import config as base
from xaitool.data.pipeline import Pipeline
from xaitool.data.shortcut import ShortcutConfig, check_shortcut
from xaitool.suggest import did_you_mean
from xaitool_shapes.outlines import OUTLINES


def _known(name: str) -> str:
    if name not in OUTLINES:
        raise ValueError(f"no such shape{did_you_mean(name, OUTLINES)}; there are {', '.join(OUTLINES)}")
    return name


class Config(base.Config):
    """How many pictures of which shapes, and how hard they are."""

    train: int = Field(default=4000, ge=2, le=100_000, description="Number of training images.")
    test: int = Field(default=1000, ge=2, le=100_000, description="Number of test images.")
    size: int = Field(default=32, ge=16, le=256, description="Height and width of the images, in pixels.")
    seed: int | None = Field(default=None, ge=0, description="Seed of the drawing; null: the run's own seed.")
    classes: list[Annotated[str, AfterValidator(_known)]] = Field(
        default=list(OUTLINES), min_length=2, description="The shapes to draw, in the order of their labels."
    )
    clutter: float = Field(
        default=0.4, ge=0, le=1, description="How busy the background is, from a plain gradient (0) to crowded (1)."
    )
    occlusion: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Probability that a bar lies across the object and hides up to a quarter of it.",
    )
    noise: float = Field(
        default=0.03, ge=0, le=0.5, description="Standard deviation of the pixel noise, for pixel values in [0, 1]."
    )
    shortcut: ShortcutConfig | None = Field(
        default=None, description="Plant a patch that gives a class away in training, and see who falls for it."
    )
    augment: Pipeline = Field(default=[], description="Albumentations transforms of the training images.")
    test_transform: Pipeline = Field(default=[], description="Albumentations transforms of the test images.")

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list[str]) -> list[str]:
        repeated = sorted({name for name in classes if classes.count(name) > 1})
        if repeated:
            raise ValueError(f"more than once: {', '.join(repeated)}")
        return classes

    @field_validator("shortcut")
    @classmethod
    def _of_these_images(cls, shortcut: ShortcutConfig | None, info: ValidationInfo) -> ShortcutConfig | None:
        if shortcut is None or not {"classes", "size"} <= info.data.keys():  # what is wrong there is told already
            return shortcut
        return check_shortcut(shortcut, info.data["classes"], info.data["size"])

    @model_validator(mode="after")
    def _one_of_each(self) -> Config:
        fewest = min(self.train, self.test)
        if fewest < len(self.classes):
            raise ValueError(f"{fewest} images cannot hold each of the {len(self.classes)} classes")
        return self
