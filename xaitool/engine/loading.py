"""Loaders whose batches follow from a seed alone: not from the number of workers, nor from what ran before."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from xaitool.contracts import HalfDone, Images
from xaitool.engine.processes import ALONE, Processes
from xaitool.engine.randomness import derive, kept_cpu, seed_cpu
from xaitool.errors import XaitoolError, of_a_worker

_FORKS = sys.platform == "linux"


# The label of an image that is no part of a batch; torch's cross-entropy leaves it out.
NO_LABEL = -100


class Draw(NamedTuple):
    """One image to fetch, the seed of the piece of a batch it is fetched in, and what becomes of it."""

    row: int
    seed: int
    use: Literal["image", "no label", "nothing"] = "image"


class Share(NamedTuple):
    """What a process has of a batch: images from `start` to `end`, of `whole`; none at all where that is too few.

    It then has the last one without its label, as there are modules that cannot do with nothing.
    """

    start: int
    end: int
    whole: int

    @property
    def empty(self) -> bool:
        """Whether it has none."""
        return self.start == self.end


class SeededBatches(Sampler[list[Draw]]):
    """Batches of draws, shuffled anew each epoch (or in order), and a seed for each of the `pieces` of a batch.

    Of several processes each has its share of every batch where they are shuffled, to learn from, and every so many-th
    batch where they are in order, to be asked about: the same batches as of one process.
    first: the batch that the next iteration begins with, once; where a training goes on in the middle of an epoch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        shuffle: bool,
        processes: Processes = ALONE,
        pieces: int = 1,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.processes = processes
        self.pieces = pieces
        # A last batch of one image has no variance for batch norm to learn from.
        self.drop_last = shuffle and size > batch_size and size % batch_size == 1
        self.epoch = 0
        self.first = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration belongs to."""
        self.epoch = epoch

    @property
    def batches(self) -> int:
        """In an epoch, of all processes."""
        return self.size // self.batch_size + (0 if self.drop_last or self.size % self.batch_size == 0 else 1)

    def __len__(self) -> int:
        return len(self._own())

    def __iter__(self) -> Iterator[list[Draw]]:
        first, self.first = self.first, 0
        epoch_seed = derive(self.seed, self.epoch)
        chunks = self._order().split(self.batch_size)
        for number in self._own():
            if number >= first:
                yield self._draws(chunks[number].tolist(), derive(epoch_seed, number), self.share(number))

    def share(self, number: int) -> Share:
        """What this process has of a batch that it has a part in."""
        whole = min(self.batch_size, self.size - number * self.batch_size)
        if not self.shuffle:
            return Share(0, whole, whole)
        rank, count = self.processes.rank, self.processes.count
        return Share(rank * whole // count, (rank + 1) * whole // count, whole)

    def _own(self) -> range:
        """The batches that this process has a part in."""
        return range(self.batches) if self.shuffle else range(self.processes.rank, self.batches, self.processes.count)

    def _draws(self, rows: list[int], seed: int, share: Share) -> list[Draw]:
        """The draws of all pieces that a share lies in: what is random in a piece follows from the whole of it."""
        if self.pieces == 1 and share.end - share.start == len(rows):
            return [Draw(row, seed) for row in rows]
        wanted = range(share.start, share.end) or [len(rows) - 1]
        found = []
        for piece in range(self.pieces):
            places = range(piece * len(rows) // self.pieces, (piece + 1) * len(rows) // self.pieces)
            if any(place in wanted for place in places):
                its_seed = derive(seed, piece) if self.pieces > 1 else seed
                use: Literal["image", "no label"] = "no label" if share.empty else "image"
                found += [Draw(rows[place], its_seed, use if place in wanted else "nothing") for place in places]
        return found

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

    def __init__(self, images: Images | HalfDone) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, draws: Sequence[Draw]) -> Any:
        """One batch or a share of one: its items, or the whole of it where the images come as :class:`HalfDone`."""
        if torch.utils.data.get_worker_info() is not None:
            try:
                return self._pieces(draws)
            except XaitoolError as error:  # of which torch would make another one, around a traceback
                return Failed(error)
        with kept_cpu():
            return self._pieces(draws)

    def _pieces(self, draws: Sequence[Draw]) -> Any:
        pieces = [self._piece(seed, list(piece)) for seed, piece in groupby(draws, key=itemgetter(1))]
        if len(pieces) == 1:
            return pieces[0]
        if isinstance(self.images, HalfDone):
            return tuple(map(torch.cat, zip(*pieces, strict=True)))
        return [item for piece in pieces for item in piece]

    def _piece(self, seed: int, draws: list[Draw]) -> Any:
        """What is random in a piece is drawn for all of it, though but a part of it may be wanted."""
        seed_cpu(seed)
        rows = [draw.row for draw in draws]
        if isinstance(self.images, HalfDone):
            pixels, drawn, labels = self.images.batch(rows)
            if all(draw.use == "image" for draw in draws):
                return pixels, drawn, labels
            wanted = [place for place, draw in enumerate(draws) if draw.use != "nothing"]
            labels = torch.where(torch.tensor([draw.use == "image" for draw in draws]), labels, NO_LABEL)
            return pixels[wanted], drawn[wanted], labels[wanted]
        fetch = getattr(self.images, "__getitems__", None)
        items = fetch(rows) if fetch else [self.images[row] for row in rows]
        return [
            (image, label if draw.use == "image" else NO_LABEL)
            for draw, (image, label) in zip(draws, items, strict=True)
            if draw.use != "nothing"
        ]


class Failed:
    """What a worker process sends in place of a batch: the error that is meant for the user."""

    def __init__(self, error: XaitoolError) -> None:
        self.error = error


class Fetched:
    """A loader's batches, (images N×C×H×W, labels N): those that come half done are finished on the device.

    Raises DataUnavailableError where a worker process hangs for longer than the loader waits, or has ended.
    """

    def __init__(
        self, inner: Any, device: torch.device, finish: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> None:
        self.inner = inner
        self._device = device
        self._finish = finish

    @property
    def dataset(self) -> Any:
        """What the batches come from."""
        return self.inner.dataset

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._from_workers():
            if self._finish is None:
                yield batch
                continue
            pixels, drawn, labels = batch
            pixels, drawn = (each.to(self._device, non_blocking=True) for each in (pixels, drawn))
            yield self._finish(pixels, drawn), labels

    def _from_workers(self) -> Iterator[Any]:
        try:
            for batch in self.inner:
                if isinstance(batch, Failed):
                    raise batch.error
                yield batch
        except (RuntimeError, EOFError, ConnectionError) as error:
            # The connection to a worker has an errno; one that the data set could not make, and torch tells, has none.
            lost = isinstance(error, EOFError) or (isinstance(error, ConnectionError) and error.errno is not None)
            ended = RuntimeError("DataLoader worker ended unexpectedly") if lost else error
            if (told := of_a_worker(ended)) is not None:
                raise told from error
            raise


def make_loader(
    images: Images | HalfDone,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    workers: int = 0,
    keep_workers: bool = False,
    pin_memory: bool = False,
    timeout: float = 0,
    processes: Processes = ALONE,
    pieces: int = 1,
) -> DataLoader[Any]:
    """A loader of (images N×C×H×W, labels N) over a data set, or of what half-done images give.

    It is over this process's part of them, see :class:`SeededBatches`. timeout: seconds to wait for a worker for; 0: as
    long as it takes.
    """
    return DataLoader(
        SeededImages(images),
        batch_sampler=SeededBatches(len(images), batch_size, seed, shuffle, processes, pieces),
        collate_fn=_as_it_is if isinstance(images, HalfDone) else _collated,
        num_workers=workers,
        persistent_workers=keep_workers and workers > 0,
        # Python 3.14 no longer forks of itself; workers touch no GPU, and a fork starts at once.
        multiprocessing_context="fork" if workers and _FORKS else None,
        prefetch_factor=4 if workers else None,
        timeout=timeout if workers else 0,
        pin_memory=pin_memory,
        # torch draws a base seed for the workers from here rather than from the global generator.
        generator=Generator().manual_seed(seed),
    )


def _collated(items: Any) -> Any:
    """A collate function for lists of items."""
    return items if isinstance(items, Failed) else default_collate(items)


def _as_it_is(batch: Any) -> Any:
    """A collate function for batches that come whole."""
    return batch


def order_of(loader: object) -> SeededBatches | None:
    """What a loader takes its batches from, where that is ours, behind whatever Accelerate has put around it."""
    sampler = getattr(_inner(loader), "batch_sampler", None)
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
    loader = _inner(loader)
    if hasattr(loader, "iteration"):  # Accelerate's count, which it sets the epoch by
        loader.iteration = epoch


@contextmanager
def order_kept(loader: object) -> Iterator[None]:
    """Put back, on leaving, whatever a loader's order follows from: its generators, and its count of epochs."""
    loader = _inner(loader)
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


def _inner(loader: object) -> object:
    return loader.inner if isinstance(loader, Fetched) else loader


def auto_workers(device_type: str, sharing: int = 1) -> int:
    """As many workers as there are cores to spare, for each of the processes that share them: on a CPU, the cores are
    the network's.

    None where processes are not forked: each would import torch anew, and a script without a main guard would fail.
    """
    if device_type == "cpu" or not _FORKS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(16, cores // sharing - 1))
