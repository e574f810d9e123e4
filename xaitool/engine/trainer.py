"""A training as an object: its state after any step can be kept, and gone on from."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence, Sized
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.contracts import Scheduler, Tuned
from xaitool.engine.batch_norm import BatchNormOfAll
from xaitool.engine.checkpoint import Checkpoints, Saved
from xaitool.engine.compiling import compiled
from xaitool.engine.data import check_pixels
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.fitted import Epoch, Fitted
from xaitool.engine.gradients import Gradients
from xaitool.engine.loading import go_to, order_of
from xaitool.engine.optimize import WeightAverage, make_loss, make_optimizer, make_share_of_loss
from xaitool.engine.progress import Bar, log
from xaitool.engine.randomness import derive, seed_all, set_states, states
from xaitool.engine.runtime import Runtime
from xaitool.errors import FolderError, TrainingError
from xaitool.recipe.schema import TrainSettings

Batches = Iterable[tuple[Tensor, Tensor]]

# Seconds between two looks at the loss for the progress bar, and steps between two looks at whether it is a number;
# each look waits for the device.
_LOOK, _STEPS = 1.0, 50
# Steps after which several processes ask the main one whether a checkpoint is due; each time they wait for each other.
_ASK = 10
# Ids of a batch that an error names; the log has them all.
_NAMED = 8


@dataclass
class Sums:
    """Of the epoch that is going on. loss, correct: on the device, as reading one waits for it.

    Of several processes each adds up the loss and the correct ones of its own images.
    """

    loss: Tensor
    correct: Tensor
    batches: int = 0
    images: int = 0
    seconds: float = 0.0


class Trainer:
    """One training: module, optimizer, schedule and average, and how far it is.

    The precision is Accelerate's autocast around the forward pass, not its patch of the module's forward, so that the
    module stays the user's own and is evaluated in float32.

    Several processes each have the whole of it, and their share of each batch; what they learn from is the gradient of
    the batch, so that all of it stays the same in all of them.
    """

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        settings: TrainSettings,
        scheduler: Scheduler,
        tuned: Tuned,
        runtime: Runtime,
        ids: Sequence[str] = (),
    ) -> None:
        if not isinstance(batches, Sized) or len(batches) == 0:
            raise TrainingError("training needs a loader that knows its length and has at least one batch")
        self.modes = [(part, part.training) for part in module.modules()]
        self.module = runtime.place(module)
        self.forward = compiled(self.module) if settings.compile else self.module
        self.settings = settings
        self.runtime = runtime
        self.ids = ids
        self.batches = runtime.prepare(batches)
        self.steps_an_epoch = len(batches)
        self.total_steps = settings.epochs * len(batches)
        self.optimizer = make_optimizer(self.module, settings.optimizer)
        self.optimizer.zero_grad()  # whatever gradients the module comes with
        self.schedule = scheduler.build(self.optimizer, self.total_steps, tuned)
        self.processes = runtime.processes
        if self.processes.alone:
            self.loss = make_loss(settings.label_smoothing)
        else:
            if order_of(self.batches) is None:
                raise TrainingError("several processes train on a loader of Runtime.loader, which gives each its share")
            self.loss = make_share_of_loss(settings.label_smoothing, lambda: self._whole)
        several = not self.processes.alone
        self.gradients = Gradients(self.module, self.processes) if several else None
        self.norms = BatchNormOfAll(self.processes, lambda: self._counts) if several else nullcontext()
        self.average = WeightAverage(self.module, settings.ema) if settings.ema else None
        self.fitted = Fitted()
        self.sums = self._nothing()
        self.recent: list[Tensor] = []  # the losses of the steps since the last look at them

    @property
    def kept(self) -> nn.Module:
        """The module that is evaluated and kept."""
        return self.average.module if self.average else self.module

    @property
    def number(self) -> int:
        """The epoch that is going on, counted from 1."""
        return len(self.fitted.history) + 1

    def epoch(self, bar: Bar, checkpoints: Checkpoints | None = None) -> None:
        """Train to the end of an epoch; where a checkpoint is due on the way, it is kept."""
        if not self.module.training:  # one in training mode may hold norms that its owner has frozen
            self.module.train()
        in_between = checkpoints is not None and order_of(self.batches) is not None
        looked = time.perf_counter()
        began = looked - self.sums.seconds
        bar(self.sums.images)
        for images, labels in self.batches:
            images, labels = self.runtime.to_device(images), labels.to(self.runtime.device, non_blocking=True)
            whole = len(labels) if self.processes.alone else self._whole
            logits = self.step(images, labels)
            self.sums.loss += F.cross_entropy(logits, labels, reduction="sum")
            self.sums.correct += (logits.argmax(1) == labels).sum()
            self.sums.batches += 1
            self.sums.images += whole
            if len(self.recent) >= _STEPS:
                self._look()
            note = ""
            if (now := time.perf_counter()) - looked > _LOOK:
                looked = now
                if self.processes.alone:  # several look at the same time, and this one is a process's own
                    self._look()
                note = f"loss {self.processes.count * float(self.sums.loss) / self.sums.images:.3f}"
            bar(whole, note)
            if in_between and checkpoints and self._due(checkpoints) and self.sums.batches < self.steps_an_epoch:
                self.sums.seconds = time.perf_counter() - began
                self.keep(checkpoints)
        if not self.sums.images:
            raise TrainingError("the loader of training images gave no batch in this epoch; can it be iterated twice?")
        self._look()
        self.sums.seconds = time.perf_counter() - began

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step down the gradient; gives the logits, detached, in float32."""
        lrs = self.fitted.lrs
        lrs.append(float(self.schedule.get_last_lr()[0]))
        with self.runtime.autocast(), self.norms:
            logits = self.forward(images)
        loss = self.loss(logits, labels)
        self.recent.append(loss.detach())
        self.runtime.accelerator.backward(loss)
        if self.gradients:
            self.gradients.finish()
        if self.settings.clip_grad_norm:
            self.runtime.accelerator.clip_grad_norm_(self.module.parameters(), self.settings.clip_grad_norm)
        self.optimizer.step()
        if len(lrs) < self.total_steps:
            self.schedule.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update()
        return logits.detach().float()

    def close_epoch(self, tested: Evaluation | None) -> None:
        """Add the figures of the epoch to the history. tested: what the test images say of it."""
        sums = self._sums_of_all()
        figures = Epoch(
            epoch=self.number,
            lr=self.fitted.lrs[-1],
            train_loss=float(sums.loss) / sums.images,
            train_accuracy=float(sums.correct) / sums.images,
            test_loss=tested.loss if tested else None,
            test_accuracy=tested.accuracy if tested else None,
            seconds=sums.seconds,
            images_per_second=sums.images / sums.seconds,
        )
        self.fitted.history.append(figures)
        self.sums = self._nothing()

    def keep(self, checkpoints: Checkpoints) -> None:
        """Keep the state after this step; not where it is of no use, as the weights are no numbers any more."""
        self._look()
        if all(bool(each.isfinite().all()) for each in self.module.parameters()):
            state = self._state()
            if self.processes.main:
                checkpoints.save(len(self.fitted.lrs), state)

    def go_on(self, saved: Saved) -> None:
        """Take on a state that was kept. Raises FolderError where it is of another model or training."""
        try:
            self._take(saved)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise FolderError(
                f"the checkpoint does not fit what the recipe makes here ({error}); start a new run of the recipe"
            ) from error

    def finish(self) -> None:
        """Put the averaged weights into the module."""
        if self.average:
            self.module.load_state_dict(self.average.module.state_dict())

    def release(self) -> None:
        """Leave no gradients behind, and every part in the mode it was in."""
        if self.gradients:
            self.gradients.release()
        self.module.zero_grad(set_to_none=True)
        for part, training in self.modes:
            part.training = training

    def _state(self) -> Saved:
        tensors: dict[str, Tensor] = {}
        extra: dict[str, Any] = {}
        for whose, module in self._modules():
            for name, value in _values(module).items():
                (tensors if isinstance(value, Tensor) else extra)[f"{whose}/{name}"] = value
        rest = {
            "extra": extra,  # what a module's own get_extra_state gives
            "optimizer": self.optimizer.state_dict(),
            "updates": self.average.updates if self.average else 0,
            "lrs": torch.tensor(self.fitted.lrs, dtype=torch.float64),
            "next_lr": float(self.schedule.get_last_lr()[0]),
            "history": [epoch.as_dict() for epoch in self.fitted.history],
            "sums": dict(vars(self._sums_of_all())),
            "random": states(),
        }
        if not self.processes.alone:
            rest["random_of_all"] = self.processes.everyones(rest["random"])
        return Saved(tensors, rest)

    def _take(self, saved: Saved) -> None:
        rest = saved.rest
        for whose, module in self._modules():
            found = {**saved.tensors, **rest["extra"]}
            own = {name.removeprefix(f"{whose}/"): each for name, each in found.items() if name.startswith(f"{whose}/")}
            _set_values(module, own)
        if self.average:
            self.average.updates = rest["updates"]
        self.fitted.lrs = rest["lrs"].tolist()
        self.fitted.history = [Epoch(**figures) for figures in rest["history"]]
        self._wind_schedule(rest["next_lr"])
        self.optimizer.load_state_dict(rest["optimizer"])
        self.sums = sums = Sums(**rest["sums"])
        sums.loss, sums.correct = (
            each.to(self.runtime.device) / self.processes.count for each in (sums.loss, sums.correct)
        )
        if order_of(self.batches) is not None:
            go_to(self.batches, len(self.fitted.history), self.sums.batches)
        self._set_random(rest)  # last: whatever has been drawn above, the training has not drawn it

    def _set_random(self, rest: dict[str, Any]) -> None:
        """The random state of this process; where it had none before, one of its own."""
        known = rest.get("random_of_all", [rest["random"]])
        if self.processes.rank < len(known):
            set_states(known[self.processes.rank])
        else:
            seed_all(derive(torch.initial_seed(), len(self.fitted.lrs)))

    def _wind_schedule(self, next_lr: float) -> None:
        """Step a new schedule to where it was. Its own state may hold what cannot be loaded safely."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the optimizer has not taken a step
            for _ in range(min(len(self.fitted.lrs), self.total_steps - 1)):
                self.schedule.step()
        if float(self.schedule.get_last_lr()[0]) != next_lr:
            raise ValueError("the schedule comes to another learning rate than it did before")

    def _modules(self) -> list[tuple[str, nn.Module]]:
        return [("module", self.module), *([("average", self.average.module)] if self.average else [])]

    @property
    def _whole(self) -> int:
        """How many images all processes have of the batch that is next."""
        order = order_of(self.batches)
        return order.share(self.sums.batches).whole if order else 0

    @property
    def _counts(self) -> bool:
        """Whether this process has any of them."""
        order = order_of(self.batches)
        return order is not None and not order.share(self.sums.batches).empty

    def _due(self, checkpoints: Checkpoints) -> bool:
        if self.processes.alone:
            return checkpoints.due
        # Its clock is the main process's, and all have to go by the same.
        return self.sums.batches % _ASK == 0 and self.processes.from_main(lambda: checkpoints.due)

    def _sums_of_all(self) -> Sums:
        if self.processes.alone:
            return self.sums
        loss, correct = self.processes.add(torch.stack([self.sums.loss, self.sums.correct]))
        return replace(self.sums, loss=loss, correct=correct)

    def _nothing(self) -> Sums:
        loss, correct = (torch.zeros((), device=self.runtime.device) for _ in range(2))
        return Sums(loss, correct)

    def _look(self) -> None:
        """Raise TrainingError where one of the recent losses is no number; waits for the device."""
        if not self.recent:
            return
        losses = self.processes.add(torch.stack(self.recent).float()).cpu()
        broken = (~losses.isfinite()).nonzero()[:, 0]
        if len(broken):
            ago = len(losses) - int(broken[0])
            if (order := order_of(self.batches)) is not None:
                check_pixels(self.batches, order.rows(self.sums.batches - ago))
            raise TrainingError(self._told(float(losses[broken[0]]), ago))
        self.recent.clear()

    def _told(self, loss: float, ago: int) -> str:
        """What is to be said of a loss that is no number, in the last step but `ago` - 1."""
        step, batch = len(self.fitted.lrs) - ago + 1, self.sums.batches - ago
        words = f"the training loss is {loss} in epoch {self.number}, step {step} of {self.total_steps:,}"
        words += f", at a learning rate of {self.fitted.lrs[step - 1]:.2g}"
        if self.ids and (order := order_of(self.batches)) is not None:
            names = [self.ids[row] for row in order.rows(batch)]
            log.error("step %d: the loss is %s on the images %s", step, loss, ", ".join(names))
            more = f" and {len(names) - _NAMED} more, which run.log names" if len(names) > _NAMED else ""
            words += f", on the images {', '.join(names[:_NAMED])}{more}"
        return f"{words}; use a lower rate (the scheduler's factor or max_lr), or clip_grad_norm"


def _values(module: nn.Module) -> dict[str, Any]:
    """The state dict, and the buffers that are not in it."""
    return {**dict(module.named_buffers()), **module.state_dict()}


def _set_values(module: nn.Module, values: dict[str, Any]) -> None:
    hidden = dict(module.named_buffers()).keys() - module.state_dict().keys()
    module.load_state_dict({name: value for name, value in values.items() if name not in hidden})
    for name in hidden:
        module.get_buffer(name).copy_(values[name])
