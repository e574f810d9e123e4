"""Options of captum's explainers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from xaitool import config

Reduce = Literal["sum", "sum_abs", "max_abs"]
Baseline = Literal["black", "white", "mean", "blur"]

_REDUCE = "What becomes of a pixel's channels: their sum, the sum of their sizes, or the largest size."


class Config(config.Config):
    """Options that every method has."""

    batch_size: int = Field(32, ge=1, description="Images (or points between image and baseline) run at a time.")
    reduce: Reduce = Field("sum", description=_REDUCE)


class GradientConfig(Config):
    """Options of methods that give a slope, not a share of the score: its sign says nothing about evidence."""

    reduce: Reduce = Field("max_abs", description=_REDUCE)


class BaselineConfig(Config):
    """Options of methods that compare an image with a baseline."""

    baseline: Baseline = Field(
        "black",
        description="The picture that stands for 'nothing there', in pixel values: black (0), white (1), "
        "mean (the data set's mean colour) or blur (the image itself, blurred).",
    )


class IntegratedGradientsConfig(BaselineConfig):
    """Options of integrated gradients."""

    n_steps: int = Field(50, ge=1, description="Points between baseline and image (Gauss-Legendre).")


class OcclusionConfig(BaselineConfig):
    """Options of occlusion."""

    window: int = Field(
        4, ge=1, description="Side of the square that hides a part of the image, in pixels; for large images, more."
    )
    stride: int = Field(2, ge=1, description="How far the square moves at a time, in pixels; at most its side.")

    @model_validator(mode="after")
    def _every_pixel_is_hidden_once(self) -> Self:
        if self.stride > self.window:
            raise ValueError(f"a stride of {self.stride} skips pixels: it may be at most the window, {self.window}")
        return self


class GradientShapConfig(Config):
    """Options of GradientSHAP."""

    baselines: tuple[Baseline, ...] = Field(
        ("black",), min_length=1, description="The pictures from which a baseline is drawn for each sample."
    )
    n_samples: int = Field(25, ge=1, description="Random points between image and baseline.")
    noise: float = Field(0.05, ge=0, description="Standard deviation of the noise on the image, in pixel values.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the random points; every image gets the same.")


class LRPConfig(Config):
    """Options of layer-wise relevance propagation."""

    gamma: float = Field(
        0,
        ge=0,
        description="How much more positive weights count in convolutions (gamma rule; 0.25 is usual), for networks "
        "without batch normalisation. With 0, the epsilon rule everywhere: on a ReLU network, input × gradient.",
    )
