"""The processes of a run: which of them this is, how they share work, and how they come to know the same.

All of them do the same things in the same order, and whatever one of them decides by is the same in all. What they meet
over is a call of :class:`Processes`. Where a run has but one process, each of these calls is what it says and no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from xaitool.errors import DeviceError, LeftBehindError, PluginError, ProcessError

T = TypeVar("T")

# How long one waits for another that downloads or decodes data. Those of a step are waited for as long as torch does,
# and one that has died is missed at once.
_PATIENCE = timedelta(days=1)
# Of Open MPI, MPICH and Intel MPI, and MVAPICH.
_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Processes:
    """rank: of this process among `count`; 0 is the main one, which alone writes files and shows what goes on.

    local_rank, local_count: the same on this machine. objects, gradients: the groups that these are sent over, apart
    from what goes on within a step, so that their order among each other does not matter.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    objects: Any = None
    gradients: Any = None

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def everyones(self, value: T) -> list[T]:
        """What each of them has, in the order of their ranks."""
        found: list[Any] = [value] * self.count
        if not self.alone:
            with in_touch():
                distributed.all_gather_object(found, value, group=self.objects)
        return found

    def from_main(self, make: Callable[[], T]) -> T:
        """What `make` gives, which only the main process calls. Raises LeftBehindError where it has failed there."""
        if self.alone:
            return make()
        sent: list[Any] = [None, False]
        if self.main:
            try:
                sent = [make(), True]
            finally:
                with in_touch():
                    distributed.broadcast_object_list(sent, src=0, group=self.objects)
        else:
            with in_touch():
                distributed.broadcast_object_list(sent, src=0, group=self.objects)
            if not sent[1]:
                raise LeftBehindError("the main process of the run has met an error")
        found: T = sent[0]
        return found

    def shared(self, count: int, work: Callable[[int], T]) -> list[T]:
        """``work(0)`` to ``work(count - 1)``, each done by one of the processes and known to all.

        Where one of them fails, all of them raise: as a rule what it has raised, else PluginError.
        """
        if self.alone:
            return [work(number) for number in range(count)]
        done: dict[int, T] = {}
        error: Exception | SystemExit | None = None
        number = -1
        for number in range(self.rank, count, self.count):
            try:
                done[number] = work(number)
            except (Exception, SystemExit) as raised:  # noqa: BLE001 - the others are told of it before it goes on its way
                error = raised
                break
        every = self.everyones((done, None if error is None else (number, repr(error))))
        failed = [(*failure, rank) for rank, (_, failure) in enumerate(every) if failure is not None]
        if not failed:
            every_done = {each: result for results, _ in every for each, result in results.items()}
            return [every_done[each] for each in range(count)]
        first, told, rank = min(failed)
        if error is not None and rank == self.rank:
            raise error
        work(first)  # which as a rule fails here as well, so that all tell of the same
        raise PluginError(f"process {rank} has met an error that process {self.rank} does not meet: {told}")

    def add(self, tensor: Tensor) -> Tensor:
        """Add up a tensor of each process, in place; the sum is there, and is given."""
        if not self.alone:
            with in_touch():
                distributed.all_reduce(tensor)
        return tensor

    @contextmanager
    def first_here(self) -> Iterator[None]:
        """Let one process a machine go first: what that downloads and keeps, the others find.

        Raises LeftBehindError where it has failed.
        """
        if not self.alone and self.local_rank != 0:
            self._all_well(True)
        try:
            yield
        except Exception:
            if not self.alone and self.local_rank == 0:
                self.everyones(False)
            raise
        if not self.alone and self.local_rank == 0:
            self._all_well(True)

    def _all_well(self, here: bool) -> None:
        if not all(self.everyones(here)):
            raise LeftBehindError("another process of the run has met an error")


ALONE = Processes()


@contextmanager
def in_touch() -> Iterator[None]:
    """Raise ProcessError where another process cannot be reached any more."""
    try:
        yield
    except RuntimeError as error:
        if not _unreachable(error):
            raise
        raise ProcessError(
            "lost touch with the other processes of this run: one of them has ended, and may have said why "
            f"({_first_sentence(str(error))})"
        ) from error


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that were started together, by torchrun or ``accelerate launch``; without those, this one alone.

    Raises DeviceError where they were started in a way that does not tell how they meet.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if "WORLD_SIZE" not in os.environ and (told := _told_by_mpi()):
        raise DeviceError(
            f"MPI has started {told} processes, which would each make a run of its own; start them by torchrun or by "
            "accelerate launch --multi_gpu (docs/scaling.md)"
        )
    if count == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    ours = not distributed.is_initialized()
    if ours:
        with in_touch():
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    groups = [distributed.new_group(backend="gloo", timeout=_PATIENCE), distributed.new_group()]
    yield Processes(
        rank=distributed.get_rank(),
        count=count,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        local_count=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        objects=groups[0],
        gradients=groups[1],
    )
    # Not after an error, when the others may be waiting for this one, and it would wait for them.
    for group in [None] if ours else groups:
        distributed.destroy_process_group(group)


def _told_by_mpi() -> int | None:
    """How many processes it says it has started, where there are several."""
    told = [int(os.environ.get(name, "1")) for name in _MPI_SIZES]
    return max(told) if max(told) > 1 else None


def _first_sentence(words: str) -> str:
    """Of what a library says: without the place in its source, and without its advice."""
    return words.strip().rpartition("\n")[2].partition("] ")[2].partition(". ")[0] or words.strip()[:200]


def _unreachable(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, distributed.DistError) or any(
        each in words for each in ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")
    )
