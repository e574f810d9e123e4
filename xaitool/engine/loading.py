"""Loaders whose batches follow from a seed alone: not from the number of workers, nor from what ran before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from xaitool.contracts import Images
from xaitool.engine.randomness import derive, kept_cpu, seed_cpu

_FORKS = sys.platform == "linux"


class Draw(NamedTuple):
    """One image to fetch, and the seed of the batch it is fetched in."""

    row: int
    seed: int


class SeededBatches(Sampler[list[Draw]]):
    """Batches of draws, shuffled anew each epoch (or in order), and a seed for each batch.

    first: the batch that the next iteration begins with, once; where a training goes on in the middle of an epoch.
    """

    def __init__(self, size: int, batch_size: int, seed: int, shuffle: bool) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        # A last batch of one image has no variance for batch norm to learn from.
        self.drop_last = shuffle and size > batch_size and size % batch_size == 1
        self.epoch = 0
        self.first = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration belongs to."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.batch_size + (0 if self.drop_last or self.size % self.batch_size == 0 else 1)

    def __iter__(self) -> Iterator[list[Draw]]:
        first, self.first = self.first, 0
        epoch_seed = derive(self.seed, self.epoch)
        for number, chunk in enumerate(self._order().split(self.batch_size)):
            if first <= number < len(self):
                seed = derive(epoch_seed, number)
                yield [Draw(row, seed) for row in chunk.tolist()]

    def rows(self, number: int) -> list[int]:
        """The rows of the data set that a batch of this epoch holds."""
        return self._order().split(self.batch_size)[number].tolist()  # type: ignore[no-any-return]

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.size)
        return torch.randperm(self.size, generator=Generator().manual_seed(derive(self.seed, self.epoch)))


class SeededImages(Dataset[Any]):
    """A data set fetched by draws: whatever it draws at random follows from the batch's seed.

    In a worker process the global generators are the worker's own; in the main one they are put back.
    """

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, draws: Sequence[Draw]) -> list[tuple[Tensor, int]]:
        """One batch."""
        indices = [draw.row for draw in draws]
        if torch.utils.data.get_worker_info() is not None:
            seed_cpu(draws[0].seed)
            return self._fetch(indices)
        with kept_cpu():
            seed_cpu(draws[0].seed)
            return self._fetch(indices)

    def _fetch(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        fetch = getattr(self.images, "__getitems__", None)
        return fetch(indices) if fetch else [self.images[index] for index in indices]


def make_loader(
    images: Images,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    workers: int = 0,
    keep_workers: bool = False,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """A loader of (images N×C×H×W, labels N) over a data set."""
    return DataLoader(
        SeededImages(images),
        batch_sampler=SeededBatches(len(images), batch_size, seed, shuffle),
        num_workers=workers,
        persistent_workers=keep_workers and workers > 0,
        # Python 3.14 no longer forks of itself; workers touch no GPU, and a fork starts at once.
        multiprocessing_context="fork" if workers and _FORKS else None,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
        # torch draws a base seed for the workers from here rather than from the global generator.
        generator=Generator().manual_seed(seed),
    )


def order_of(loader: object) -> SeededBatches | None:
    """What a loader takes its batches from, where that is ours, behind whatever Accelerate has put around it."""
    sampler = getattr(loader, "batch_sampler", None)
    while sampler is not None and not isinstance(sampler, SeededBatches):
        sampler = getattr(sampler, "batch_sampler", None)
    return sampler


def go_to(loader: object, epoch: int, batch: int) -> None:
    """Let the next iteration over a loader be that of an epoch, counted from 0, from a batch on."""
    order = order_of(loader)
    if order is None:
        raise ValueError("only loaders made here can begin in the middle")
    order.set_epoch(epoch)
    order.first = batch
    if hasattr(loader, "iteration"):  # Accelerate's count, which it sets the epoch by
        loader.iteration = epoch


@contextmanager
def order_kept(loader: object) -> Iterator[None]:
    """Put back, on leaving, whatever a loader's order follows from: its generators, and its count of epochs."""
    samplers = [getattr(loader, name, None) for name in ("base_dataloader", "sampler", "batch_sampler")]
    inner = [getattr(sampler, "sampler", None) for sampler in samplers]
    parts = [part for part in (loader, *samplers, *inner) if part is not None]
    generators = {
        id(found): found for part in parts if isinstance(found := getattr(part, "generator", None), Generator)
    }
    states = [(generator, generator.get_state()) for generator in generators.values()]
    counts = [(part, name, vars(part)[name]) for part in parts for name in ("epoch", "iteration") if name in vars(part)]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)
        for part, name, count in counts:
            setattr(part, name, count)


def auto_workers(device_type: str) -> int:
    """As many workers as there are cores to spare: on a CPU, the cores are the network's.

    None where processes are not forked: each would import torch anew, and a script without a main guard would fail.
    """
    if device_type == "cpu" or not _FORKS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(16, cores - 1))
