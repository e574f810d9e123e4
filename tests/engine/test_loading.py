"""Batches follow from a seed alone."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xaitool.data.arrays import ImageArray
from xaitool.data.pipeline import check
from xaitool.engine.loading import Fetched, SeededBatches, go_to, make_loader, order_kept, order_of
from xaitool.engine.runtime import open_runtime
from xaitool.errors import DataUnavailableError, DeviceError
from xaitool.recipe.schema import RuntimeSettings


class Noisy:
    """Items that draw from all three global generators."""

    def __init__(self, size: int = 21) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = [random.random(), float(np.random.rand()), float(torch.rand(()))]
        return torch.tensor([index, *noise]).view(1, 2, 2), index % 3


def epochs(workers: int, seed: int = 1, count: int = 2, size: int = 21) -> list[Any]:
    loader = make_loader(Noisy(size), 4, shuffle=True, seed=seed, workers=workers)
    found = []
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        found.append([images.clone() for images, _ in loader])
    return found


def same(one: list[Any], other: list[Any]) -> bool:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_number_of_workers_changes_nothing() -> None:
    assert same(epochs(0), epochs(2))


def test_each_epoch_and_each_seed_differ() -> None:
    first, second = epochs(0)
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert not same(epochs(0), epochs(0, seed=2))


def test_each_epoch_holds_every_image_once() -> None:
    for epoch in epochs(0, size=20):
        assert sorted(torch.cat(epoch)[:, 0, 0, 0].tolist()) == list(range(20))


def test_noise_differs_from_image_to_image() -> None:
    (epoch,) = epochs(0, count=1)
    assert len(set(torch.cat(epoch)[:, 0, 0, 1].tolist())) == 20
    assert len(set(torch.cat(epoch)[:, 0, 1, 1].tolist())) == 20


def test_the_global_generators_are_left_alone() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = (random.random(), np.random.rand(), torch.rand(()).item())
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    epochs(0)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


@pytest.mark.parametrize(
    ("size", "batch", "shuffle", "sizes"),
    [
        (21, 4, True, [4, 4, 4, 4, 4]),  # a last batch of one cannot be learnt from
        (21, 4, False, [4, 4, 4, 4, 4, 1]),
        (22, 4, True, [4, 4, 4, 4, 4, 2]),
        (3, 4, True, [3]),
        (1, 4, True, [1]),
        (8, 4, True, [4, 4]),
    ],
)
def test_sizes_of_batches(size: int, batch: int, shuffle: bool, sizes: list[int]) -> None:
    batches = SeededBatches(size, batch, seed=0, shuffle=shuffle)
    assert [len(draws) for draws in batches] == sizes
    assert len(batches) == len(sizes)


def test_in_order_without_shuffling() -> None:
    loader = make_loader(Noisy(), 4, shuffle=False)
    assert torch.cat([images for images, _ in loader])[:, 0, 0, 0].tolist() == list(range(21))


def test_a_prepared_loader_is_prepared_once_and_workers_end() -> None:
    import multiprocessing

    import xaitool

    with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu", workers=2)) as runtime:
        train = runtime.loader(Noisy(), 4, shuffle=True)
        assert runtime.prepare(train) is train
        counts = []
        for _ in range(3):
            assert len(list(train)) == 5
            test = runtime.loader(Noisy(), 4, shuffle=False, keep_workers=False)
            assert len(list(test)) == 6
            counts.append(len(multiprocessing.active_children()))
        assert counts == [2, 2, 2]


def test_the_prepared_loader_shuffles_and_draws_anew_each_epoch() -> None:
    import xaitool

    def found(workers: int) -> list[Tensor]:
        with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu", workers=workers)) as runtime:
            loader = runtime.loader(Noisy(), 4, shuffle=True, seed=1)
            return [torch.cat([images for images, _ in loader]) for _ in range(3)]

    first, second, third = found(0)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert same([found(2)], [[first, second, third]])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_begins_in_the_middle_of_an_epoch_with_the_same_draws(workers: int) -> None:
    import xaitool

    with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu", workers=workers)) as runtime:
        whole = runtime.loader(Noisy(), 4, shuffle=True, seed=1)
        expected = [[images for images, _ in whole] for _ in range(3)]
        later = runtime.loader(Noisy(), 4, shuffle=True, seed=1)
        go_to(later, 1, 2)
        found = [[images for images, _ in later] for _ in range(2)]
        assert same(found, [expected[1][2:], expected[2]])
        order = order_of(later)
        assert order is not None
        assert order.rows(3) == expected[2][3][:, 0, 0, 0].tolist()
    with pytest.raises(ValueError, match="only loaders made here"):
        go_to([], 0, 1)


class Halves:
    """Half-done images: the pixels are the rows, and what is drawn is added on the device."""

    def __len__(self) -> int:
        return 21

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.tensor(indices)
        return rows, torch.rand(len(rows)), rows % 3

    def finish(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        return (pixels + drawn).view(-1, 1, 1, 1)


def half_done(workers: int) -> Fetched:
    loader = make_loader(Halves(), 4, shuffle=True, seed=1, workers=workers)
    return Fetched(loader, torch.device("cpu"), Halves().finish)


def test_half_done_batches_are_finished_and_follow_from_the_seed() -> None:
    one, other = list(half_done(0)), list(half_done(2))

    assert len({int(each) for images, _ in one for each in images}) == 20
    assert all(torch.equal(labels, images.flatten().long() % 3) for images, labels in one)
    assert all(torch.equal(a, b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True))
    assert len(half_done(0)) == len(one) == 5


def test_half_done_batches_begin_in_the_middle_too() -> None:
    whole = half_done(0)
    go_to(whole, 3, 0)
    images = [images for images, _ in whole]
    with order_kept(whole):
        go_to(whole, 3, 2)
        rest = [images for images, _ in whole]

    assert torch.equal(torch.cat(images[2:]), torch.cat(rest))


def test_a_runtime_augments_what_is_learnt_from_on_the_device_where_it_is_told_to() -> None:
    pixels = np.zeros((8, 8, 8, 3), np.uint8)
    images = ImageArray(pixels, np.arange(8), (0, 0, 0), (1, 1, 1), check(["HorizontalFlip"]))
    with open_runtime(RuntimeSettings(device="cpu", augment="device")) as runtime:
        learnt, tested = (runtime.loader(images, 4, shuffle=shuffle) for shuffle in (True, False))
        assert isinstance(learnt, Fetched)
        assert not isinstance(tested, Fetched)
        assert [images.shape for images, _ in learnt] == [(4, 3, 8, 8)] * 2
        with pytest.raises(DeviceError, match=r"runtime\.augment: the device cannot do it: the data set has no form"):
            runtime.loader(Noisy(), 4, shuffle=True)
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        assert not isinstance(runtime.loader(images, 4, shuffle=True), Fetched)


class Stuck(Noisy):
    """Data whose third image and all after it never come, or end the process that asks for them."""

    def __init__(self, ends: bool) -> None:
        super().__init__(8)
        self.ends = ends

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index > 1:
            os._exit(7) if self.ends else time.sleep(60)
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (False, r"given no batch for too long \(runtime\.timeout\): .* hangs; with runtime\.workers=0"),
        (
            True,
            r"has ended \(DataLoader worker \(pid.* exited unexpectedly\): out of memory, or ended by what",
        ),
    ],
)
def test_a_worker_that_hangs_or_ends_is_told(ends: bool, message: str) -> None:
    settings = RuntimeSettings(device="cpu", workers=1, timeout=2)
    with open_runtime(settings) as runtime, pytest.raises(DataUnavailableError, match=message):
        for _ in runtime.loader(Stuck(ends), 2, shuffle=False, keep_workers=False):
            pass


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "Connection reset by peer")])
def test_so_is_one_that_ends_while_it_hands_over_a_batch(error: Exception) -> None:
    class HandsOver:
        def __iter__(self) -> Iterator[Any]:
            raise error

    with pytest.raises(DataUnavailableError, match=r"has ended \(DataLoader worker ended unexpectedly\)"):
        list(Fetched(HandsOver(), torch.device("cpu")))


def test_a_connection_that_a_data_set_could_not_make_is_its_own_error() -> None:
    class Refused(Noisy):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            raise ConnectionRefusedError("no such server")

    settings = RuntimeSettings(device="cpu", workers=1)
    with open_runtime(settings) as runtime, pytest.raises(ConnectionRefusedError, match="no such server"):
        list(runtime.loader(Refused(), 2, shuffle=False, keep_workers=False))
