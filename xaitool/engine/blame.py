"""Whose failure is it? Where plugins' code runs deep inside the engine's own, the traceback tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import torch
from torch import nn
from torch.nn.modules.loss import _Loss
from torch.optim.lr_scheduler import LRScheduler

from xaitool.errors import PluginError, TrainingError, XaitoolError, of_a_worker
from xaitool.plugins import Offer, told
from xaitool.recipe.resolve import Recipe

# Modules of xaitool that call plugins, rather than helping them.
_CALLERS = ("xaitool.engine", "xaitool.judge", "xaitool.triage")


@contextmanager
def blamed(recipe: Recipe, stage: str, running: Offer | None = None) -> Iterator[None]:
    """Report what a recipe's plugin raises in here as that plugin's failure; the engine's own errors stay as they are.

    running: the component at work, where several come from one package.
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
        if (told_of_worker := of_a_worker(error)) is not None:
            raise told_of_worker from error
        suspects = _suspects(recipe, error.__traceback__)
        if not suspects:
            raise
        culprit = running if running and running in suspects else suspects[0]
        if culprit is running or len(suspects) == 1:
            raise culprit.failure(stage, error) from error
        raise PluginError(
            f"plugin {suspects[0].plugin} failed in {stage}: {told(error, _package(suspects[0]))}"
        ) from error


def _suspects(recipe: Recipe, traceback: TracebackType | None) -> list[Offer]:
    """The components whose code the engine had called last; several where they share a package.

    What a plugin calls in its turn is its own affair: an explainer that feeds the network nonsense is to blame for what
    the network says to that.
    """
    found: list[Offer] = []
    while traceback:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(_CALLERS):
            found = []
        elif not found:
            offers = [component.offer for component in recipe.components]
            found = [offer for offer in offers if _package(offer) == name.partition(".")[0]] or _maker(recipe, frame)
    return found


def _package(offer: Offer) -> str:
    return offer.component.factory.partition(":")[0].partition(".")[0]


def _maker(recipe: Recipe, frame: FrameType) -> list[Offer]:
    """Whose object the method belongs to that runs in a frame."""
    match frame.f_locals.get("self"):
        case _Loss():  # a module too, but the engine's
            return []
        case nn.Module():
            return [recipe.model.offer]
        case LRScheduler():
            return [recipe.scheduler.offer] if recipe.scheduler else []
    return []
