"""Fit: train a module, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.contracts import Scheduler, Tuned
from xaitool.engine.evaluate import count_images, evaluate
from xaitool.engine.optimize import WeightAverage, make_loss, make_optimizer
from xaitool.engine.progress import Bar, Display, Silent
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.runtime import Runtime, using
from xaitool.errors import TrainingError
from xaitool.recipe.schema import TrainSettings

Batches = Iterable[tuple[Tensor, Tensor]]

# Seconds between two looks at the loss, each of which waits for the device.
_LOOK = 1.0


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch: mean cross-entropy and accuracy (0..1) on training batches (augmented, while learning)
    and on the test images, the rate of its last step, and how long its training took.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    images_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """A line of ``history.jsonl``."""
        return asdict(self)


@dataclass
class Fitted:
    """What training left: the figures of each epoch and the learning rate of each step."""

    history: list[Epoch] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)


def fit(
    module: nn.Module,
    batches: Batches,
    settings: TrainSettings,
    scheduler: Scheduler,
    tuned: Tuned,
    *,
    test: Batches | None = None,
    seed: int = 0,
    runtime: Runtime | None = None,
    display: Display | None = None,
    on_epoch: Callable[[Fitted, nn.Module], None] = lambda _fitted, _module: None,
) -> Fitted:
    """Train `module`, in place, on `batches` (a sized loader of images N×C×H×W and labels N).

    A module in eval mode is set to training mode; in one that is in training mode, parts in eval mode stay so (frozen
    norms). All modes are put back. The module is moved to the runtime's device.

    test: evaluated after each epoch. on_epoch: called after each epoch with what there is so far and the module that
    would be kept (the average of the weights, where `settings.ema` asks for one).
    Raises TrainingError where the loss is no longer a finite number.
    """
    display = display or Silent()
    fitted = Fitted()
    with using(runtime) as runtime, kept(), runtime.fast():
        seed_all(derive(seed, "fit"))
        trainer = _Trainer(module, batches, settings, scheduler, tuned, runtime)
        try:
            for epoch in range(1, settings.epochs + 1):
                with display.bar(f"epoch {epoch}/{settings.epochs}", _images(batches, settings)) as bar:
                    began = time.perf_counter()
                    loss, accuracy, images = trainer.epoch(fitted.lrs, bar)
                    seconds = time.perf_counter() - began
                result = evaluate(trainer.kept, test, runtime=runtime, display=display) if test is not None else None
                if result and not math.isfinite(result.loss):
                    raise TrainingError(
                        f"after epoch {epoch} the model gives logits that are no numbers; use a lower learning rate"
                    )
                fitted.history.append(
                    Epoch(
                        epoch=epoch,
                        lr=fitted.lrs[-1],
                        train_loss=loss,
                        train_accuracy=accuracy,
                        test_loss=result.loss if result else None,
                        test_accuracy=result.accuracy if result else None,
                        seconds=seconds,
                        images_per_second=images / seconds,
                    )
                )
                on_epoch(fitted, trainer.kept)
                display.line(_told(fitted.history[-1], settings.epochs))
            trainer.finish()
        finally:
            trainer.release()
    return fitted


class _Trainer:
    """One training: module, optimizer, schedule and average.

    The precision is Accelerate's autocast around the forward pass, not its patch of the module's forward, so that the
    module stays the user's own and is evaluated in float32.
    """

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        settings: TrainSettings,
        scheduler: Scheduler,
        tuned: Tuned,
        runtime: Runtime,
    ) -> None:
        if not isinstance(batches, Sized) or len(batches) == 0:
            raise TrainingError("training needs a loader that knows its length and has at least one batch")
        self.modes = [(part, part.training) for part in module.modules()]
        self.module = runtime.place(module)
        self.settings = settings
        self.runtime = runtime
        self.batches = runtime.prepare(batches)
        self.optimizer = make_optimizer(self.module, settings.optimizer)
        self.optimizer.zero_grad()  # whatever gradients the module comes with
        self.total_steps = settings.epochs * len(batches)
        self.schedule = scheduler.build(self.optimizer, self.total_steps, tuned)
        self.loss = make_loss(settings.label_smoothing)
        self.average = WeightAverage(self.module, settings.ema) if settings.ema else None

    @property
    def kept(self) -> nn.Module:
        """The module that is evaluated and kept."""
        return self.average.module if self.average else self.module

    def epoch(self, lrs: list[float], bar: Bar) -> tuple[float, float, int]:
        """Train one epoch; gives the mean loss, the accuracy and the number of images."""
        if not self.module.training:  # one in training mode may hold norms that its owner has frozen
            self.module.train()
        # Sums stay on the device: reading one waits for it.
        loss_sum = torch.zeros((), device=self.runtime.device)
        correct = torch.zeros((), device=self.runtime.device)
        images_seen = 0
        looked = time.perf_counter()
        for images, labels in self.batches:
            images, labels = self.runtime.to_device(images), labels.to(self.runtime.device, non_blocking=True)
            logits = self.step(images, labels, lrs)
            loss_sum += F.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
            images_seen += len(labels)
            note = ""
            if (now := time.perf_counter()) - looked > _LOOK:
                looked = now
                note = f"loss {self._finite(loss_sum, images_seen, lrs):.3f}"
            bar(len(labels), note)
        if not images_seen:
            raise TrainingError("the loader of training images gave no batch in this epoch; can it be iterated twice?")
        return self._finite(loss_sum, images_seen, lrs), float(correct) / images_seen, images_seen

    def step(self, images: Tensor, labels: Tensor, lrs: list[float]) -> Tensor:
        """One step down the gradient; gives the logits, detached, in float32."""
        lrs.append(float(self.schedule.get_last_lr()[0]))
        with self.runtime.autocast():
            logits = self.module(images)
        self.runtime.accelerator.backward(self.loss(logits, labels))
        if self.settings.clip_grad_norm:
            self.runtime.accelerator.clip_grad_norm_(self.module.parameters(), self.settings.clip_grad_norm)
        self.optimizer.step()
        if len(lrs) < self.total_steps:
            self.schedule.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(self.module)
        return logits.detach().float()  # type: ignore[no-any-return]

    def finish(self) -> None:
        """Put the averaged weights into the module."""
        if self.average:
            self.module.load_state_dict(self.average.module.state_dict())

    def release(self) -> None:
        """Leave no gradients behind, and every part in the mode it was in."""
        self.module.zero_grad(set_to_none=True)
        for part, training in self.modes:
            part.training = training

    def _finite(self, loss_sum: Tensor, images: int, lrs: list[float]) -> float:
        loss = float(loss_sum) / images
        if not math.isfinite(loss):
            raise TrainingError(
                f"the training loss is no longer a number by step {len(lrs)}, at a learning rate of {lrs[-1]:.2g}; "
                "use a lower rate (the scheduler's factor or max_lr), or clip_grad_norm"
            )
        return loss


def _images(batches: Batches, settings: TrainSettings) -> int:
    return count_images(batches) or len(batches) * settings.batch_size  # type: ignore[arg-type]


def _told(epoch: Epoch, epochs: int) -> str:
    test = "" if epoch.test_accuracy is None else f", test accuracy {epoch.test_accuracy:.2%}"
    return (
        f"  epoch {epoch.epoch:{len(str(epochs))}}/{epochs}: train loss {epoch.train_loss:.3f}, "
        f"accuracy {epoch.train_accuracy:.2%}{test} ({epoch.seconds:.1f} s, {epoch.images_per_second:,.0f} images/s)"
    )
