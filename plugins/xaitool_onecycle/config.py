"""Options of the learning-rate schedules."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, StrictBool, model_validator

from xaitool import config

# torch-lr-finder leaves out the first 10 and the last 5 points of the curve and needs 2 more for a slope.
FEWEST_POINTS = 17


class CycleShape(config.Config):
    """The shape of one cycle, whatever its peak."""

    pct_start: float = Field(0.3, gt=0, lt=1, description="The part of the training before the peak.")
    anneal: Literal["cos", "linear"] = Field("cos", description="How the rate goes up and down.")
    div_factor: float = Field(25.0, gt=1, description="The rate starts at peak / div_factor.")
    final_div_factor: float = Field(1e4, ge=1, description="It ends at peak / (div_factor * final_div_factor).")
    cycle_momentum: StrictBool = Field(False, description="Move the momentum (or beta1) against the rate.")
    base_momentum: float = Field(0.85, ge=0, lt=1, description="Its least value, at the peak of the rate.")
    max_momentum: float = Field(0.95, ge=0, lt=1, description="Its greatest value, at both ends.")

    @model_validator(mode="after")
    def _momentum_ascends(self) -> Self:
        if self.base_momentum > self.max_momentum:
            raise ValueError(f"base_momentum ({self.base_momentum:g}) is above max_momentum ({self.max_momentum:g})")
        return self


class OneCycleConfig(CycleShape):
    """One cycle (Smith & Topin 2018, arXiv:1708.07120) with a peak of your own."""

    max_lr: float = Field(gt=0, description="The learning rate at the peak.")


class LRFinderOneCycleConfig(CycleShape):
    """One cycle whose peak a learning-rate range test (Smith 2017, arXiv:1506.01186) finds."""

    start_lr: float = Field(1e-4, gt=0, description="Where the search starts.")
    end_lr: float = Field(10.0, gt=0, description="Where it ends, unless the loss diverges before.")
    num_iter: int = Field(100, ge=FEWEST_POINTS, description="Steps of the search.")
    step_mode: Literal["exp", "linear"] = Field("exp", description="How the rate grows from step to step.")
    smooth: float = Field(0.05, gt=0, le=1, description="Weight of the newest loss in the curve; 1: not smoothed.")
    diverge: float = Field(5.0, gt=1, description="The search ends when the loss is this many times its best.")
    factor: float = Field(1.0, gt=0, description="The peak is the suggested rate times this.")

    @model_validator(mode="after")
    def _ascending(self) -> LRFinderOneCycleConfig:
        if self.end_lr <= self.start_lr:
            raise ValueError(f"end_lr ({self.end_lr:g}) should be greater than start_lr ({self.start_lr:g})")
        return self


class CosineConfig(config.Config):
    """Linear warm-up, then half a cosine down (Loshchilov & Hutter 2017, arXiv:1608.03983)."""

    max_lr: float = Field(gt=0, description="The learning rate after the warm-up.")
    warmup: float = Field(0.05, ge=0, lt=1, description="The part of the training in which the rate goes up.")
    final_factor: float = Field(1e-3, gt=0, le=1, description="The last rate, as a part of max_lr.")
