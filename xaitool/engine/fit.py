"""Fit: train a module, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from xaitool.contracts import Scheduler, Tuned
from xaitool.engine.checkpoint import Checkpoints
from xaitool.engine.data import check_pixels
from xaitool.engine.evaluate import count_images, evaluate
from xaitool.engine.fitted import Epoch, Fitted
from xaitool.engine.loading import go_to, order_of
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.runtime import Runtime, using
from xaitool.engine.trainer import Batches, Trainer
from xaitool.errors import TrainingError
from xaitool.recipe.schema import TrainSettings


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
    ids: Sequence[str] = (),
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Train `module`, in place, on `batches` (a sized loader of images N×C×H×W and labels N).

    A module in eval mode is set to training mode; in one that is in training mode, parts in eval mode stay so (frozen
    norms). All modes are put back. The module is moved to the runtime's device.

    test: evaluated after each epoch. on_epoch: called after each epoch with what there is so far and the module that
    would be kept (the average of the weights, where `settings.ema` asks for one). ids: of the training images, for
    errors to name them by. checkpoints: where to keep the state after each epoch, and to go on from where there is one;
    in the middle of an epoch only with a loader of :meth:`Runtime.loader`; several processes train with no other.
    Raises TrainingError where the loss is no longer a finite number.
    """
    display = display or Silent()
    with using(runtime) as runtime, kept(), runtime.fast():
        rank = runtime.processes.rank  # what a network drops at random, it drops in each process by itself
        seed_all(derive(seed, "fit", rank) if rank else derive(seed, "fit"))
        trainer = Trainer(module, batches, settings, scheduler, tuned, runtime, ids)
        fitted = trainer.fitted
        try:
            if checkpoints and (saved := runtime.processes.from_main(checkpoints.newest)):
                trainer.go_on(saved)
                if order_of(test) is not None:
                    go_to(test, len(fitted.history), 0)
                display.line(f"going on after step {len(fitted.lrs):,} of {trainer.total_steps:,}")
            while (epoch := trainer.number) <= settings.epochs:
                with display.bar(f"epoch {epoch}/{settings.epochs}", _images(batches, settings)) as bar:
                    trainer.epoch(bar, checkpoints)
                tested = evaluate(trainer.kept, test, runtime=runtime, display=display) if test is not None else None
                if tested and not math.isfinite(tested.loss):
                    check_pixels(test, tested.broken)
                    raise TrainingError(
                        f"after epoch {epoch} the model gives logits that are no numbers; use a lower learning rate"
                    )
                trainer.close_epoch(tested)
                on_epoch(fitted, trainer.kept)
                if checkpoints:
                    trainer.keep(checkpoints)
                display.line(_told(fitted.history[-1], settings.epochs))
            trainer.finish()
        finally:
            trainer.release()
    return fitted


def _images(batches: Batches, settings: TrainSettings) -> int:
    return count_images(batches) or len(batches) * settings.batch_size  # type: ignore[arg-type]


def _told(epoch: Epoch, epochs: int) -> str:
    test = "" if epoch.test_accuracy is None else f", test accuracy {epoch.test_accuracy:.2%}"
    return (
        f"  epoch {epoch.epoch:{len(str(epochs))}}/{epochs}: train loss {epoch.train_loss:.3f}, "
        f"accuracy {epoch.train_accuracy:.2%}{test} ({epoch.seconds:.1f} s, {epoch.images_per_second:,.0f} images/s)"
    )
