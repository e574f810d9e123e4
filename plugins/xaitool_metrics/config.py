"""Options of the metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaitool import config

Baseline = Literal["blur", "mean", "black", "noise"]

_STEPS = "Steps from the whole image to none of it, of equally many pixels; fewer than 32 are for quick tests only."


class NoOptions(config.Config):
    """A metric that leaves nothing to choose."""


class BatchConfig(config.Config):
    """Options of every metric that runs the model."""

    batch_size: int = Field(
        256,
        ge=1,
        description="Images that go through the model at a time; halved where memory runs out. Where the explainer is "
        "asked for further maps, it keeps to batches of its own.",
    )


class CurveConfig(BatchConfig):
    """Options of deletion, insertion and ABPC."""

    baseline: Baseline = Field(
        "blur",
        description="What stands where a pixel is missing: the image blurred beyond recognition, the data set's mean "
        "colour, black, or uniform noise.",
    )
    steps: int = Field(32, ge=8, description=_STEPS)


class ROADConfig(BatchConfig):
    """Options of ROAD."""

    noise: float = Field(
        0.01, ge=0, le=1, description="Standard deviation of the noise on imputed pixels, where white is 1."
    )
    steps: int = Field(32, ge=8, description=_STEPS)


class RandomisationConfig(BatchConfig):
    """Options of the comparison with randomised networks."""

    seeds: int = Field(3, ge=1, description="Randomised networks; the score is the mean over them.")
    depths: int = Field(
        1,
        ge=1,
        description="Stages in which each network is randomised from its input to its output. The score is the last "
        "one's, where every layer is random; more than one stage gives a curve, at a map more an image each.",
    )


class SensitivityConfig(BatchConfig):
    """Options of Max-Sensitivity."""

    draws: int = Field(10, ge=1, description="Random changes tried on each image.")
    radius: float = Field(2, gt=0, le=255, description="Largest change of a pixel's value, where white is 255.")
