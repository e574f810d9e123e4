"""Options that all data sets of pictures of any size have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xaitool.config import Config
from xaitool.data.pipeline import Pipeline
from xaitool.data.transforms import ENDS_OFF, Step

Side = Annotated[int, Field(ge=8, le=4096)]
Unit = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Limit(Config):
    """How many images to take of each split."""

    train: int | None = Field(None, ge=2, description="Training images; left out: all.")
    test: int | None = Field(None, ge=2, description="Test images; left out: all.")


class PictureOptions(Config):
    """How pictures become images of one size, and which of them are taken."""

    size: Side | tuple[Side, Side] | None = Field(
        224,
        description="Pixels of the images' side, or [height, width]. null: leave that to augment and test_transform.",
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop",
        description="How a picture comes to this size: crop what juts out at the longer side, pad with black, or "
        "stretch.",
    )
    augment: Pipeline = Field([], description="Albumentations transforms of the training images, after size.")
    test_transform: Pipeline = Field([], description="Albumentations transforms of the test images, after size.")
    mean: tuple[Unit, Unit, Unit] | None = Field(
        None, description="Mean of each channel, for pixel values in [0, 1]; left out: computed once, and kept."
    )
    std: tuple[Positive, Positive, Positive] | None = Field(
        None, description="Standard deviation of each channel; left out: computed once, and kept."
    )
    limit: Limit = Field(Limit(), description="Take a class-balanced subset.")

    @model_validator(mode="after")
    def _both_or_none(self) -> PictureOptions:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both, or neither")
        return self


def fitted(size: int | tuple[int, int] | None, fit: str) -> list[Step]:
    """The transforms that bring a picture of any size to the one that is wanted.

    What becomes smaller is averaged over, as picture libraries do it: picking pixels makes patterns that are not there.
    """
    if size is None:
        return []
    height, width = (size, size) if isinstance(size, int) else size
    smooth = {"area_for_downscale": "image"}
    if fit == "stretch":
        return [{"Resize": {"height": height, "width": width, **smooth}}]
    # With both sides given, the one that needs it more (or less) decides.
    sides = {"max_size_hw": [height, width], **smooth}
    if fit == "pad":
        return [{"LongestMaxSize": sides}, {"PadIfNeeded": {"min_height": height, "min_width": width}}]
    size_of_it = {"height": height, "width": width}
    return [{ENDS_OFF: size_of_it}, {"SmallestMaxSize": sides}, {"CenterCrop": size_of_it}]
