"""Schedules that are wrong in one way each, and a right one."""

from __future__ import annotations

import gc
import itertools
import math
import secrets
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import xaitool
from xaitool.contracts import Probe, Tuned


class Config(xaitool.Config):
    """No options but the rate."""

    max_lr: float = Field(0.1, gt=0, description="The rate at the peak.")


@dataclass
class Hill:
    """Up to 1 in the middle and down again, never to 0."""

    total: int

    def __call__(self, step: int) -> float:
        middle = self.total // 2
        return 1 - abs(step - middle) / (self.total + 1)


class Right:
    """A hill with a rate that a search of three steps confirms."""

    tune_steps = 3

    def __init__(self, config: Config) -> None:
        self.config = config

    def tune(self, probe: Probe) -> Tuned:
        losses = []
        for images, labels in itertools.islice(probe.batches, 3):
            probe.optimizer.zero_grad()
            loss = probe.loss(probe.module(images), labels)
            loss.backward()
            probe.optimizer.step()
            probe.step(len(images))
            losses.append(float(loss.detach()))
        return Tuned(self.config.max_lr, [0.01] * 3, losses)

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = tuned.max_lr
        return LambdaLR(optimizer, self.shape(total_steps))

    def shape(self, total_steps: int) -> Any:
        return Hill(total_steps)


class ChangesTheDtype(Right):
    def tune(self, probe: Probe) -> Tuned:
        tuned = super().tune(probe)
        torch.set_default_dtype(torch.float64)
        return tuned


class LeavesGradientsOff(Right):
    def tune(self, probe: Probe) -> Tuned:
        tuned = super().tune(probe)
        torch.set_grad_enabled(False)
        return tuned


class FindsTheRealModel(Right):
    """By looking through the whole process for what its copy looks like."""

    def tune(self, probe: Probe) -> Tuned:
        for network in [each for each in gc.get_objects() if type(each) is nn.Sequential]:
            if repr(network) == repr(probe.module):
                network.eval()
                network[1].weight.data.mul_(0.5)
        return super().tune(probe)


class Unseeded(Right):
    def tune(self, probe: Probe) -> Tuned:
        tuned = super().tune(probe)
        return Tuned(tuned.max_lr + secrets.randbelow(10**6) * 1e-9, tuned.lrs, tuned.losses)


class UnseededCurve(Right):
    def tune(self, probe: Probe) -> Tuned:
        tuned = super().tune(probe)
        return Tuned(tuned.max_lr, tuned.lrs, [loss + secrets.randbelow(10**6) for loss in tuned.losses])


class TooManyBatches(Right):
    tune_steps = 2


class NeverStops(Right):
    def tune(self, probe: Probe) -> Tuned:
        for _ in probe.batches:
            pass
        return super().tune(probe)


class TooManySteps(Right):
    def tune(self, probe: Probe) -> Tuned:
        tuned = super().tune(probe)
        probe.optimizer.step()
        return tuned


class EndsAtZero(Right):
    """As torch's own cosine does."""

    def shape(self, total_steps: int) -> Any:
        return lambda step: (1 + math.cos(math.pi * (step - total_steps // 2) / max(1, (total_steps - 1) // 2))) / 2


class OneStepShort(Right):
    """The schedule ends a step before the training."""

    def shape(self, total_steps: int) -> Any:
        hill = Hill(total_steps)

        def until_the_last(step: int) -> float:
            if step >= max(2, total_steps):
                raise ValueError(f"tried to step {step} times, but there are {total_steps - 1} steps")
            return hill(step)

        return until_the_last


class NeedsItsOwnSearch(Right):
    """A resumed run has the result of a search, but not the object that searched."""

    def tune(self, probe: Probe) -> Tuned:
        self.found = super().tune(probe)
        return self.found

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        return super().build(optimizer, total_steps, self.found)


class LowPeak(Right):
    def shape(self, total_steps: int) -> Any:
        hill = Hill(total_steps)
        return lambda step: 0.99 * hill(step)


class IsOverAfterFiveSteps(Right):
    """However many there are."""

    def shape(self, total_steps: int) -> Any:
        return lambda step: 1.0 if step < 5 else 1e-6


class Forgets(Right):
    """Counts its steps where no state dict looks."""

    def shape(self, total_steps: int) -> Any:
        hill, calls = Hill(total_steps), itertools.count()
        return lambda _step: hill(next(calls) // 2)  # once a step for each of two groups of parameters


class _WithConfig(LambdaLR):
    def __init__(self, optimizer: Optimizer, shape: Any, config: Config) -> None:
        self.config = config
        super().__init__(optimizer, shape)


class SavesAnObject(Right):
    """A state dict that only an unsafe load can read."""

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        super().build(optimizer, total_steps, tuned)
        return _WithConfig(optimizer, self.shape(total_steps), self.config)
