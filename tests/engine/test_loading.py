"""Batches follow from a seed alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xaitool.engine.loading import SeededBatches, go_to, make_loader, order_of


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
