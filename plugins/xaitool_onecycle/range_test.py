"""torch-lr-finder's range test, made safe.

What the library (0.2.2) leaves open is closed here: a loss that is no longer a number ends the test instead of becoming
the "steepest descent", and the suggestion is read off the curve before its turning point, never off the part where
training falls apart. It runs on the probe, which is a clone, so nothing has to be restored.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch_lr_finder import LRFinder, TrainDataLoaderIter

from xaitool.contracts import Probe
from xaitool.errors import TuningError
from xaitool_onecycle.config import LRFinderOneCycleConfig

# The first points are left out, as the library does: the average is still settling.
SKIP_START = 10
# So are the last points before the lowest one, at most this many of them.
SKIP_END = 5
# The descent has ended when, of a fall of at least this part of the loss, this part is lost again; what falls later
# falls from a broken model.
FALL, LOST = 0.05, 0.25
# A smaller fall than this, from there to the lowest point, is noise.
LEAST_FALL = 0.01


@dataclass(frozen=True)
class Curve:
    """Learning rates and smoothed training losses, one a step, finite; ended: why the test stopped early, if it did."""

    lrs: list[float]
    losses: list[float]
    ended: str = ""


@dataclass(frozen=True)
class Suggestion:
    """The rate at the steepest descent, and what a user should know about it."""

    lr: float
    remark: str = ""


def range_test(probe: Probe, config: LRFinderOneCycleConfig) -> Curve:
    """Train the probe while the rate grows, until the end or until the loss diverges."""
    for group in probe.optimizer.param_groups:
        group["lr"] = config.start_lr
        group.pop("initial_lr", None)
    finder = _Finder(probe)
    ended = ""
    # The library reports on stdout and with a bar of its own; the engine shows progress.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            finder.range_test(
                _Batches(probe.batches),
                end_lr=config.end_lr,
                num_iter=config.num_iter,
                step_mode=config.step_mode,
                smooth_f=config.smooth if config.smooth < 1 else 0,
                diverge_th=config.diverge,
            )
        except _NotFiniteError as stop:
            ended = str(stop)
    lrs, losses = finder.history["lr"], finder.history["loss"]
    # The library notes the rate before the loss: of a step that raised, neither is there.
    if not ended and len(lrs) < config.num_iter:
        ended = f"the loss diverged at a rate of {lrs[-1]:.2g}"
    return Curve([float(lr) for lr in lrs], [float(loss) for loss in losses], ended)


def suggest(curve: Curve) -> Suggestion:
    """The library's suggestion, where the curve falls fastest, from the part before the curve's turning point.

    Raises TuningError where nothing falls.
    """
    lowest = _turning_point(curve.losses)
    skip_end = _skip_end(curve.losses[SKIP_START : lowest + 1])
    if skip_end is None:
        reason = curve.ended or f"it fell by less than {LEAST_FALL:.0%}, or in one step only"
        raise TuningError(
            f"the search found no learning rate at which the loss goes down ({reason}); "
            "start lower (start_lr), search in more steps (num_iter), "
            "or use the schedule 'onecycle' with a rate of your own",
            curve.lrs,
            curve.losses,
        )
    descent = LRFinder.__new__(LRFinder)
    descent.history = {"lr": curve.lrs[: lowest + 1], "loss": curve.losses[: lowest + 1]}
    with contextlib.redirect_stdout(io.StringIO()):
        _, rate = descent.plot(skip_start=SKIP_START, skip_end=skip_end, ax=Figure().subplots(), suggest_lr=True)
    at_the_edge = lowest == len(curve.losses) - 1 and not curve.ended
    remark = "; the loss was still falling at end_lr, a wider search may find more" if at_the_edge else ""
    return Suggestion(float(rate), remark)


def _turning_point(losses: list[float]) -> int:
    """The lowest point before the loss first rises for good (and of all, where it never does)."""
    lowest = 0
    for step, loss in enumerate(losses):
        if loss < losses[lowest]:
            lowest = step
        if lowest > SKIP_START:
            fall, rise = losses[SKIP_START] - losses[lowest], loss - losses[lowest]
            turned = fall > FALL * losses[SKIP_START] and rise > LOST * fall
            if turned and _skip_end(losses[SKIP_START : lowest + 1]) is not None:
                break
    return lowest


def _skip_end(descent: list[float]) -> int | None:
    """How many points to leave out at the end of a descent, its lowest point; None where it does not go down.

    There the slope is a single step's, not the mean of two, and that step leads to the lowest point of all: by chance
    it often looks the steepest. Of a short descent at most a third is left out, and less where only the end falls.
    """
    if len(descent) < 2 or descent[-1] > (1 - LEAST_FALL) * descent[0]:
        return None
    most = min(SKIP_END, len(descent) // 3)
    for skip_end in range(most, min(most, 1) - 1, -1):
        if np.gradient(descent[: len(descent) - skip_end]).min() < 0:
            return skip_end
    return None  # down in one last step: chance


class _NotFiniteError(Exception):
    """The loss is NaN or infinite."""


class _Finder(LRFinder):  # type: ignore[misc]
    """The library's loop with the probe's precision, progress, and an end at the first loss that is not a number."""

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe.module, probe.optimizer, probe.loss)
        self.probe = probe

    def _train_batch(self, train_iter: Any, accumulation_steps: int, non_blocking_transfer: bool = True) -> float:
        self.model.train()
        images, labels = next(train_iter)
        self.optimizer.zero_grad()
        with torch.enable_grad(), self.probe.autocast():
            loss = self.criterion(self.model(images), labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            rate = self.optimizer.param_groups[0]["lr"]
            raise _NotFiniteError(f"the loss was no longer a number at a rate of {rate:.2g}")
        loss.backward()
        self.optimizer.step()
        self.probe.step(len(images))
        return value


class _Batches(TrainDataLoaderIter):  # type: ignore[misc]
    """The probe's endless batches, as the library wants them."""

    def __init__(self, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
        self._iterator = batches

    def __next__(self) -> tuple[Tensor, Tensor]:
        return next(self._iterator)
