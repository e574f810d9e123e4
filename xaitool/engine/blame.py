"""Whose failure is it? Where plugins' code runs deep inside the engine's own, the traceback tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import torch
from torch import nn
from torch.nn.modules.loss import _Loss
from torch.optim.lr_scheduler import LRScheduler

from xaitool.errors import TrainingError, XaitoolError
from xaitool.plugins import Offer
from xaitool.recipe.resolve import Recipe


@contextmanager
def blamed(recipe: Recipe, stage: str) -> Iterator[None]:
    """Report what a recipe's plugin raises in here as that plugin's failure; the engine's own errors stay as they are.

    Raises PluginError; TrainingError where the device's memory runs out.
    """
    try:
        yield
    except XaitoolError:
        raise
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device ran out of memory in {stage}; lower train.batch_size (or eval_batch_size), or the model's size"
        ) from error
    except (Exception, SystemExit) as error:
        culprit = _culprit(recipe, error.__traceback__)
        if culprit is None:
            raise
        raise culprit.failure(stage, error) from error


def _culprit(recipe: Recipe, traceback: TracebackType | None) -> Offer | None:
    """The plugin whose code was running: its package's own, or a method of the network or the schedule it made."""
    owners = {_package(component.offer): component.offer for component in recipe.components}
    found = None
    while traceback:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        found = owners.get(package) or _maker(recipe, frame) or found
    return found


def _package(offer: Offer) -> str:
    return offer.component.factory.partition(":")[0].partition(".")[0]


def _maker(recipe: Recipe, frame: FrameType) -> Offer | None:
    """Whose object the method belongs to that runs in a frame."""
    match frame.f_locals.get("self"):
        case _Loss():  # a module too, but the engine's
            return None
        case nn.Module():
            return recipe.model.offer
        case LRScheduler():
            return recipe.scheduler.offer
    return None
