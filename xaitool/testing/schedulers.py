"""Checks for learning-rate schedules: a search that leaves no trace, and a rate for each of the steps there are."""

from __future__ import annotations

import io
import itertools
import math
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset

from xaitool.contracts import Probe, Scheduler, Tuned
from xaitool.engine.optimize import make_loss, make_optimizer
from xaitool.engine.randomness import kept, seed_all
from xaitool.engine.runtime import open_runtime
from xaitool.engine.tune import tune
from xaitool.recipe.schema import AdamWSettings, RuntimeSettings, SGDSettings, TrainSettings
from xaitool.testing.checks import CheckError, check, expect
from xaitool.testing.specimen import Specimen

# Trainings of a single step to a few hundred; the shortest have no room to go up and down.
TOTALS = (1, 2, 7, 50, 200)
BATCH_SIZE, CLASSES = 16, 4
_SGD = SGDSettings(name="sgd", momentum=0.9)
_OPTIMIZERS: tuple[SGDSettings | AdamWSettings, ...] = (_SGD, AdamWSettings(name="adamw"))

# What a process has only one of: name -> (how to read it, how to set it).
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "whether gradients are computed": (torch.is_grad_enabled, torch.set_grad_enabled),
    "whether algorithms are deterministic": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
}


@check("tune-leaves-things-alone", "scheduler")
def tune_leaves_things_alone(specimen: Specimen) -> None:
    """After a search model, optimizer, data order, random state and torch's settings are what they were before it."""
    network, loader = _network(), _loader()
    optimizer = make_optimizer(network, _SGD)
    images, labels = next(iter(loader))
    make_loss(0)(network(images), labels).backward()
    optimizer.step()
    network[0].eval()
    with _undone():
        before = _state(network, optimizer, loader)
        _search(specimen, network, loader)
        after = _state(network, optimizer, loader)
    changed = [name for name in before if before[name] != after[name]]
    expect(not changed, f"tune changes {', '.join(changed)}")


@check("tune-repeatable", "scheduler")
def tune_repeatable(specimen: Specimen) -> None:
    """Two searches with the same seed have the same result, rate and curve."""
    with _undone():
        seed_all(1)
        one = _search(specimen, _network(), _loader())
    with _undone():
        seed_all(2)
        other = _search(specimen, _network(), _loader())
    expect(
        one.max_lr == other.max_lr, f"with the same seed tune finds {one.max_lr:.6g} first and {other.max_lr:.6g} then"
    )
    for what, curve, again in (("rates", one.lrs, other.lrs), ("losses", one.losses, other.losses)):
        expect(
            np.array_equal(np.asarray(curve, float), np.asarray(again, float), equal_nan=True),
            f"with the same seed tune's curve has different {what} ({len(curve)} points and {len(again)})",
        )


@check("tune-steps", "scheduler")
def tune_steps(specimen: Specimen) -> None:
    """A search takes at most `tune_steps` steps, by the batches it draws, the optimizer's steps and `probe.step`."""
    scheduler = _scheduler(specimen)
    most = scheduler.tune_steps
    expect(isinstance(most, int) and most >= 0, f"tune_steps is {most!r}, not a number of steps")
    taken: Counter[str] = Counter()

    def count(what: str) -> None:
        taken[what] += 1
        # Here, and not at the end: a search may go on for as long as there are batches.
        expect(taken[what] <= most, f"tune_steps is {most}, but tune {what} more often than that")

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in itertools.cycle(_loader()):
            count("draws batches")
            yield batch

    probe = _probe(batches(), lambda _images: count("calls probe.step"))
    probe.optimizer.register_step_post_hook(lambda *_: count("steps the optimizer"))
    with _undone():
        seed_all(0)
        scheduler.tune(probe)


@check("rates", "scheduler")
def rates(specimen: Specimen) -> None:
    """Trainings of 1, 2, 7, 50 and 200 steps run to their end, with a rate that is finite and above 0 at each step."""
    tuned = _tuned(specimen)
    for settings, total in itertools.product(_OPTIMIZERS, TOTALS):
        optimizer, schedule = _built(specimen, settings, total, tuned)
        for step, groups in enumerate(_run(optimizer, schedule, total), start=1):
            for rate, _ in groups:
                good = math.isfinite(rate) and rate > 0
                expect(good, f"with {settings.name} the rate is {rate:g} at step {step} of {total}")


@check("peak", "scheduler")
def peak(specimen: Specimen) -> None:
    """The greatest rate of a training of 7, 50 or 200 steps is the tuned one."""
    tuned = _tuned(specimen)
    for total in TOTALS:
        if total < 3:
            continue
        optimizer, schedule = _built(specimen, _SGD, total, tuned)
        found = max(rate for groups in _run(optimizer, schedule, total) for rate, _ in groups)
        expect(
            math.isclose(found, tuned.max_lr, rel_tol=1e-6),
            f"the greatest rate of {total} steps is {found:.8g}; the tuned one is {tuned.max_lr:.8g}",
        )


@check("uses-total-steps", "scheduler")
def uses_total_steps(specimen: Specimen) -> None:
    """Trainings of 50 and of 200 steps have the same shape: rate by peak, at 10 relative positions, agrees to 0.15."""
    tuned = _tuned(specimen)
    short, long = (_relative_rates(specimen, total, tuned) for total in (50, 200))
    for percent, rate, other in zip(range(5, 100, 10), short, long, strict=True):
        expect(
            abs(rate - other) <= 0.15,
            f"{percent}% into a training the rate is {rate:.2g} of its peak with 50 steps, and {other:.2g} with 200",
        )


def _relative_rates(specimen: Specimen, total: int, tuned: Tuned) -> list[float]:
    """The rate of the first group of parameters at 5, 15, ... 95% of the steps, as parts of its greatest."""
    optimizer, schedule = _built(specimen, _SGD, total, tuned)
    rates = [groups[0][0] for groups in _run(optimizer, schedule, total)]
    return [rates[percent * total // 100] / max(rates) for percent in range(5, 100, 10)]


@check("resumes", "scheduler")
def resumes(specimen: Specimen) -> None:
    """Saved in the middle of 50 steps and restored into a fresh optimizer and schedule, it gives exactly the rest."""
    tuned, total = _tuned(specimen), 50
    for settings in _OPTIMIZERS:
        optimizer, schedule = _built(specimen, settings, total, tuned)
        _run(optimizer, schedule, total // 2)
        states = _saved_and_loaded([optimizer.state_dict(), schedule.state_dict()])
        expected = _run(optimizer, schedule, total // 2)
        optimizer, schedule = _built(specimen, settings, total, tuned)
        optimizer.load_state_dict(states[0])
        schedule.load_state_dict(states[1])
        found = _run(optimizer, schedule, total // 2)
        for step, groups, others in zip(itertools.count(total // 2 + 1), found, expected, strict=False):
            expect(
                groups == others,
                f"resumed with {settings.name}, step {step} of {total} has {_told(groups)}; without a stop it has "
                f"{_told(others)}",
            )


def _network() -> nn.Sequential:
    """A small network with batch norm, the same each time."""
    with kept():
        seed_all(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, CLASSES),
        )


def _loader() -> DataLoader[Any]:
    """Noise on patterns, one a class, that are easily told apart: there is a rate at which the loss goes down."""
    draw = torch.Generator().manual_seed(4)
    labels = torch.arange(4 * BATCH_SIZE) % CLASSES
    patterns = torch.randn(CLASSES, 3, 8, 8, generator=draw)
    images = patterns[labels] + 0.5 * torch.randn(len(labels), 3, 8, 8, generator=draw)
    return DataLoader(TensorDataset(images, labels), BATCH_SIZE, shuffle=True, generator=draw)


def _scheduler(specimen: Specimen) -> Scheduler:
    scheduler = specimen.build()
    expect(
        isinstance(scheduler, Scheduler),
        f"the factory returns a {type(scheduler).__name__}, which lacks tune_steps, tune or build",
    )
    return scheduler  # type: ignore[no-any-return]


def _probe(batches: Iterator[tuple[Tensor, Tensor]], step: Callable[[int], None]) -> Probe:
    network = _network()
    optimizer = make_optimizer(network, _SGD)
    return Probe(network, optimizer, make_loss(0), batches, nullcontext, step, epochs=1, batch_size=BATCH_SIZE)


def _tuned(specimen: Specimen) -> Tuned:
    """What a search finds; whatever else it does is undone."""
    with _undone():
        seed_all(0)
        return _sound(_scheduler(specimen).tune(_probe(itertools.cycle(_loader()), lambda _images: None)))


def _search(specimen: Specimen, network: nn.Module, loader: DataLoader[Any]) -> Tuned:
    """What the engine's own search finds, with seed 0."""
    train = {"epochs": 1, "batch_size": BATCH_SIZE, "scheduler": specimen.offer.component.name}
    settings = TrainSettings.model_validate(train)
    with open_runtime(RuntimeSettings(device="cpu", precision="fp32", workers=0)) as runtime:
        return _sound(tune(_scheduler(specimen), network, loader, settings, seed=0, runtime=runtime))


def _sound(tuned: Tuned) -> Tuned:
    expect(isinstance(tuned, Tuned), f"tune returns a {type(tuned).__name__}, not a Tuned")
    expect(math.isfinite(tuned.max_lr) and tuned.max_lr > 0, f"tune finds a rate of {tuned.max_lr}")
    return tuned


def _built(
    specimen: Specimen, settings: SGDSettings | AdamWSettings, total: int, tuned: Tuned
) -> tuple[Optimizer, LRScheduler]:
    """An optimizer and its schedule, from a scheduler that has not searched itself: a resumed run's has not either."""
    optimizer = make_optimizer(_network(), settings)
    try:
        return optimizer, _scheduler(specimen).build(optimizer, total, tuned)
    except Exception as error:
        raise CheckError(f"build for {total} steps raises {type(error).__name__}: {error}") from error


def _run(optimizer: Optimizer, schedule: LRScheduler, steps: int) -> list[list[tuple[float, Any]]]:
    """Take steps; for each, of each group of parameters, the rate and the momentum (AdamW: betas)."""
    taken = []
    for step in range(1, steps + 1):
        taken.append(
            [(float(group["lr"]), group.get("momentum", group.get("betas"))) for group in optimizer.param_groups]
        )
        try:
            optimizer.step()
            schedule.step()
        except Exception as error:
            raise CheckError(f"step {step} of {steps} raises {type(error).__name__}: {error}") from error
    return taken


def _told(groups: list[tuple[float, Any]]) -> str:
    return " and ".join(sorted({f"a rate of {rate:.8g} (momentum {momentum})" for rate, momentum in groups}))


def _saved_and_loaded(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    buffer = io.BytesIO()
    try:
        torch.save(states, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)  # type: ignore[no-any-return]
    except (pickle.PickleError, AttributeError, TypeError) as error:
        raise CheckError(
            f"the state dict cannot be saved and safely loaded; keep numbers, strings and lists in it ({error})"
        ) from error


def _state(network: nn.Module, optimizer: Optimizer, loader: DataLoader[Any]) -> dict[str, Any]:
    """All that a search could change, by what it is."""
    parameters = list(network.parameters())
    state = {
        "the model's weights": network.state_dict(),
        "the model's gradients": [each.grad for each in parameters],
        "which parameters are trainable": [each.requires_grad for each in parameters],
        "which parts are in train mode": [part.training for part in network.modules()],
        "the optimizer": optimizer.state_dict(),
        "the order of the data": loader.generator and loader.generator.get_state(),
        "Python's random state": random.getstate(),
        "numpy's random state": np.random.get_state(),
        "torch's random state": torch.get_rng_state(),
    }
    return {name: _plain(value) for name, value in state.items()} | {
        name: read() for name, (read, _) in _SETTINGS.items()
    }


def _plain(value: Any) -> Any:
    """A copy, without tensors and arrays, that can be compared."""
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@contextmanager
def _undone() -> Iterator[None]:
    """Put the random state and the process's settings back, for what follows."""
    before = {name: read() for name, (read, _) in _SETTINGS.items()}
    try:
        with kept():
            yield
    finally:
        for name, (read, put) in _SETTINGS.items():
            if read() != before[name]:
                put(before[name])
