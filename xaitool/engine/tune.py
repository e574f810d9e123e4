"""Tune: let the scheduler look for its learning rate on a copy of the model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from xaitool.contracts import Probe, Scheduler, Tuned
from xaitool.engine.batch_norm import BatchNormOfAll
from xaitool.engine.gradients import Gradients
from xaitool.engine.loading import SeededBatches, order_kept, order_of
from xaitool.engine.optimize import make_loss, make_optimizer, make_share_of_loss
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
    Several processes take each step together, with the loss of the whole batch; the rate is the main one's.
    Raises TuningError, with the curve as far as it went.
    """
    display = display or Silent()
    with using(runtime) as runtime, kept(), order_kept(batches), runtime.fast():
        seed_all(derive(seed, "tune"))
        # In the copy, not in the user's module: moving a module and setting its mode changes it.
        module = runtime.place(copy.deepcopy(module)).train()
        batches, optimizer = runtime.prepare(batches), make_optimizer(module, settings.optimizer)
        order = None if runtime.processes.alone or not scheduler.tune_steps else order_of(batches)
        together = _Together(module, optimizer, order, settings) if order else None
        with display.bar("learning-rate search", scheduler.tune_steps * settings.batch_size) as bar:
            probe = Probe(
                module=together or module,
                optimizer=optimizer,
                loss=together.loss if together else make_loss(settings.label_smoothing),
                batches=_endless(batches, runtime, together),
                autocast=runtime.autocast,
                step=lambda images: bar(images * runtime.processes.count),
                epochs=settings.epochs,
                batch_size=settings.batch_size,
            )
            tuned = scheduler.tune(probe)
            return runtime.processes.from_main(lambda: tuned)


def _endless(
    batches: Iterable[tuple[Tensor, Tensor]], runtime: Runtime, together: _Together | None
) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        for number, (images, labels) in enumerate(batches):
            if together:
                together.number = number
            yield runtime.to_device(images), labels.to(runtime.device, non_blocking=True)


class _Together(nn.Module):
    """A module as several processes probe it: each with its share of a batch, and all as one would with the whole.

    number: of the batch that was given out last. The gradients are everybody's when the optimizer takes its step.
    """

    def __init__(self, module: nn.Module, optimizer: Optimizer, order: SeededBatches, settings: TrainSettings) -> None:
        super().__init__()
        self.module = module
        self.order = order
        self.number = 0
        self.share_of_loss = make_share_of_loss(settings.label_smoothing, lambda: order.share(self.number).whole)
        self.norms = BatchNormOfAll(order.processes, lambda: not order.share(self.number).empty)
        gradients = Gradients(module, order.processes)
        optimizer.register_step_pre_hook(lambda *_arguments: gradients.finish())

    def forward(self, images: Tensor) -> Any:
        """Logits of this process's images."""
        with self.norms:
            return self.module(images)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the whole batch, the same number in all processes, with the gradient of this one's share."""
        share = self.share_of_loss(logits, labels)
        return self.order.processes.add(share.detach().clone()) + (share - share.detach())
