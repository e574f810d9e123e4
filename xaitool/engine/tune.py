"""Tune: let the scheduler look for its learning rate on a copy of the model."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from xaitool.contracts import Probe, Scheduler, Tuned
from xaitool.engine.loading import order_kept
from xaitool.engine.optimize import make_loss, make_optimizer
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.runtime import Runtime, using
from xaitool.recipe.schema import TrainSettings


def tune(
    scheduler: Scheduler,
    module: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    settings: TrainSettings,
    *,
    seed: int = 0,
    runtime: Runtime | None = None,
    display: Display | None = None,
) -> Tuned:
    """Let `scheduler` find its rate for training `module` on `batches` (a loader of images and labels).

    The module, its mode, the data order of a seeded loader and the random state are afterwards what they were before.
    Raises TuningError, with the curve as far as it went.
    """
    display = display or Silent()
    with using(runtime) as runtime, kept(), order_kept(batches), runtime.fast():
        seed_all(derive(seed, "tune"))
        # In the copy, not in the user's module: moving a module and setting its mode changes it.
        module = runtime.place(copy.deepcopy(module)).train()
        with display.bar("learning-rate search", scheduler.tune_steps * settings.batch_size) as bar:
            probe = Probe(
                module=module,
                optimizer=make_optimizer(module, settings.optimizer),
                loss=make_loss(settings.label_smoothing),
                batches=_endless(runtime.prepare(batches), runtime),
                autocast=runtime.autocast,
                step=bar,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
            )
            return scheduler.tune(probe)


def _endless(batches: Iterable[tuple[Tensor, Tensor]], runtime: Runtime) -> Iterator[tuple[Tensor, Tensor]]:
    for images, labels in itertools.chain.from_iterable(itertools.repeat(batches)):
        yield runtime.to_device(images), labels.to(runtime.device, non_blocking=True)
