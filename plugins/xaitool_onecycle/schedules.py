"""The schedules: one cycle and cosine, both above zero at every step and at their peak exactly at the tuned rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from xaitool.contracts import Probe, Tuned
from xaitool_onecycle.config import CosineConfig, CycleShape, LRFinderOneCycleConfig, OneCycleConfig
from xaitool_onecycle.range_test import range_test, suggest


class OneCycle:
    """One cycle with a peak that the recipe names."""

    tune_steps = 0

    def __init__(self, config: OneCycleConfig) -> None:
        self.config = config

    def tune(self, probe: Probe) -> Tuned:
        """Nothing to find out."""
        return Tuned(self.config.max_lr, note="the recipe's own rate")

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        """See :meth:`xaitool.contracts.Scheduler.build`."""
        return one_cycle(optimizer, total_steps, tuned.max_lr, self.config)


class LRFinderOneCycle:
    """One cycle with the peak that torch-lr-finder's range test suggests."""

    def __init__(self, config: LRFinderOneCycleConfig) -> None:
        self.config = config
        self.tune_steps = config.num_iter

    def tune(self, probe: Probe) -> Tuned:
        """Run the range test on the probe's clone. Raises TuningError where the loss never goes down."""
        curve = range_test(probe, self.config)
        suggestion = suggest(curve)
        peak = suggestion.lr * self.config.factor
        times = "" if self.config.factor == 1 else f", times {self.config.factor:g}"
        return Tuned(peak, curve.lrs, curve.losses, note=f"where the loss falls fastest{times}{suggestion.remark}")

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        """See :meth:`xaitool.contracts.Scheduler.build`."""
        return one_cycle(optimizer, total_steps, tuned.max_lr, self.config)


class Cosine:
    """Linear warm-up and half a cosine."""

    tune_steps = 0

    def __init__(self, config: CosineConfig) -> None:
        self.config = config

    def tune(self, probe: Probe) -> Tuned:
        """Nothing to find out."""
        return Tuned(self.config.max_lr, note="the recipe's own rate")

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        """See :meth:`xaitool.contracts.Scheduler.build`."""
        warm = min(round(self.config.warmup * total_steps), total_steps - 1)
        _set_rate(optimizer, tuned.max_lr)
        return LambdaLR(optimizer, _WarmCosine(warm, max(1, total_steps - 1 - warm), self.config.final_factor))


@dataclass
class _WarmCosine:
    """The rate at a step, as a part of its peak. No closure, so that the schedule can be pickled."""

    warm: int
    down: int
    floor: float

    def __call__(self, step: int) -> float:
        if step < self.warm:
            return (step + 1) / (self.warm + 1)
        done = min(1.0, (step - self.warm) / self.down)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


def _constant(_step: int) -> float:
    return 1.0


def one_cycle(optimizer: Optimizer, total_steps: int, peak: float, shape: CycleShape) -> LRScheduler:
    """Torch's OneCycleLR, with the peak moved onto a whole step.

    torch puts it at ``pct_start * total_steps - 1``, between two steps as a rule: then no step is taken at the peak.
    """
    _set_rate(optimizer, peak)
    if total_steps < 3:  # no room to go up and down
        return LambdaLR(optimizer, _constant)
    up = min(max(2, round(shape.pct_start * total_steps)), total_steps - 1)
    return _OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=total_steps,
        pct_start=up / total_steps,
        anneal_strategy=shape.anneal,
        cycle_momentum=shape.cycle_momentum,
        base_momentum=shape.base_momentum,
        max_momentum=shape.max_momentum,
        div_factor=shape.div_factor,
        final_div_factor=shape.final_div_factor,
    )


class _OneCycleLR(OneCycleLR):
    """Torch's, but never below its last rate and staying there after the last step.

    With linear annealing torch's goes below zero after the last step, and by rounding errors may do so before.
    """

    def get_lr(self) -> list[float | Tensor]:
        groups = self.optimizer.param_groups
        if self.last_epoch == self.total_steps:
            return [group["lr"] for group in groups]
        return [max(rate, group["min_lr"]) for rate, group in zip(super().get_lr(), groups, strict=True)]


def _set_rate(optimizer: Optimizer, rate: float) -> None:
    """What torch's schedulers start from; an ``initial_lr`` that an earlier one left would go before it."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = rate
