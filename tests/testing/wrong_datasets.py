"""Data sets that are wrong in one way each, and right ones."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import get_worker_info

import xaitool
from xaitool.contracts import DataBundle
from xaitool.data.cache import cache_root
from xaitool.errors import DataUnavailableError

MEAN, STD, SIZE = (0.5, 0.4, 0.3), (0.25, 0.3, 0.2), 12


class Config(xaitool.Config):
    """No options."""


class RootConfig(xaitool.Config):
    """Data in a folder."""

    root: str = Field("~/data", description="A folder with a file named data.")


class Pictures:
    """N×3×H×W pixel values, normalised; augmented: half of them, by chance, mirrored."""

    def __init__(self, pixels: Tensor, classes: int, augmented: bool = False) -> None:
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
        self.images = (pixels - mean) / std
        self.classes = classes
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        return (image.flip(-1) if self.augmented and torch.rand(()) < 0.5 else image), index % self.classes


class Changed(Pictures):
    """Pictures of which each item goes through a function of (image, label, index)."""

    def __init__(self, pictures: Pictures, change: Callable[[Tensor, Any, int], tuple[Any, Any]]) -> None:
        self.pictures = pictures
        self.change = change

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.change(*self.pictures[index], index)


class Halves(Pictures):
    """Pictures that are mirrored on the device; wrong in one way."""

    def __init__(self, pictures: Pictures, wrong: str) -> None:
        vars(self).update(vars(pictures))
        self.wrong = wrong

    def on_device(self) -> Any:
        if self.wrong == "refused":
            raise ValueError("not with these options")
        return [] if self.wrong == "a list" else HalfPictures(self)


class HalfPictures:
    def __init__(self, pictures: Halves) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        off = 1 if self.pictures.wrong == "labels" else 0
        labels = [(index + off) % self.pictures.classes for index in indices]
        return self.pictures.images[list(indices)], torch.rand(len(indices)), torch.tensor(labels)

    def finish(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        drawn = torch.rand(len(drawn)) if self.pictures.wrong == "drawn late" else drawn
        mirrored = torch.where(drawn.view(-1, 1, 1, 1) < 0.5, pixels.flip(-1), pixels)
        match self.pictures.wrong:
            case "double":
                return mirrored.double()
            case "small":
                return mirrored[..., 1:]
        return mirrored


class Boxes:
    """The true evidence: a box in each image."""

    def __init__(self, count: int, box: slice = slice(2, 8), size: int = SIZE) -> None:
        self.masks = torch.zeros(count, size, size, dtype=torch.bool)
        self.masks[:, box, box] = True

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Tensor:
        return self.masks[index]


def right(config: Any, *, seed: int) -> DataBundle:
    """Noise, which is as good as any picture here."""
    draw = torch.Generator().manual_seed(seed)
    train, test = (torch.rand(count, 3, SIZE, SIZE, generator=draw) for count in (40, 20))
    return DataBundle(
        train=Pictures(train, 2, augmented=True),
        test=Pictures(test, 2),
        classes=("even", "odd"),
        mean=MEAN,
        std=STD,
        train_ids=[f"train/{index}" for index in range(40)],
        test_ids=[f"test/{index}" for index in range(20)],
        fingerprint=f"noise {seed}",
        test_masks=Boxes(20),
        sample=Pictures(train, 2),
    )


def _changed_test(change: Callable[[Tensor, Any, int], tuple[Any, Any]]) -> Any:
    """A factory of right data, but for the test items."""

    def build(config: Config, *, seed: int) -> DataBundle:
        data = right(config, seed=seed)
        return replace(data, test=Changed(data.test, change))  # type: ignore[arg-type]

    return build


def _with(**changes: Any) -> Any:
    """A factory of right data, but for some fields."""

    def build(config: Config, *, seed: int) -> DataBundle:
        return replace(right(config, seed=seed), **changes)

    return build


def a_tuple(config: Config, *, seed: int) -> Any:
    data = right(config, seed=seed)
    return data.train, data.test


doubles = _changed_test(lambda image, label, _: (image.double(), label))
channels_last = _changed_test(lambda image, label, _: (image.permute(1, 2, 0), label))
flat = _changed_test(lambda image, label, _: (image.flatten(), label))
holes = _changed_test(lambda image, label, _: (image.where(image < 1, torch.nan), label))
one_mean = _with(mean=(0.5,))

from_one = _changed_test(lambda image, label, _: (image, label + 1))
tensor_labels = _changed_test(lambda image, label, _: (image, torch.tensor(label)))
last_label_off = _changed_test(lambda image, label, index: (image, 2 if index == 19 else label))

noisy_test = _changed_test(lambda image, label, _: (image + 0.001 * torch.rand(()), label))


def labels_listed_wrongly(config: Config, *, seed: int) -> DataBundle:
    data = right(config, seed=seed)
    data.train.labels = np.array([0] * 38 + [-1, 0])  # type: ignore[attr-defined]
    return data


class Batches(Pictures):
    """Whole batches come out otherwise than items."""

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        mean = self.images[list(indices)].mean()
        return [(image - mean * 1e-3, label) for image, label in map(self.__getitem__, indices)]


def batches_differ(config: Config, *, seed: int) -> DataBundle:
    data = right(config, seed=seed)
    data.test.__class__ = Batches  # type: ignore[misc]
    return data


def own_generator(config: Config, *, seed: int) -> DataBundle:
    """Noise from a generator that goes on from epoch to epoch, and that each worker has a copy of."""
    data = right(config, seed=seed)
    draw = torch.Generator().manual_seed(seed)

    def noise(image: Tensor, label: int, _: int) -> tuple[Tensor, int]:
        return image + 0.1 * torch.rand(image.shape, generator=draw), label

    return replace(data, train=Changed(data.train, noise))  # type: ignore[arg-type]


def _on_device(wrong: str) -> Callable[..., DataBundle]:
    def data(config: Config, *, seed: int) -> DataBundle:
        bundle = right(config, seed=seed)
        return replace(bundle, train=Halves(bundle.train, wrong))  # type: ignore[arg-type]

    return data


right_on_device = _on_device("not at all")
not_on_device = _on_device("refused")
a_list_on_device = _on_device("a list")
double_on_device = _on_device("double")
small_on_device = _on_device("small")
other_labels_on_device = _on_device("labels")
drawn_on_device = _on_device("drawn late")


def own_noise_in_workers(config: Config, *, seed: int) -> DataBundle:
    """What each worker seeds for itself."""
    data = right(config, seed=seed)

    def noise(image: Tensor, label: int, _: int) -> tuple[Tensor, int]:
        worker = get_worker_info()
        return image + (0.1 * worker.id + 0.1 if worker else 0.0), label

    return replace(data, train=Changed(data.train, noise))  # type: ignore[arg-type]


wrong_std = _with(std=(0.5, 0.6, 0.4))


class Dark(DataBundle):
    """Forgets the mean when it displays."""

    def display(self, images: Tensor) -> Tensor:
        return (images * torch.tensor(self.std).view(-1, 1, 1)).clamp(0, 1)


def dark(config: Config, *, seed: int) -> DataBundle:
    return Dark(**vars(right(config, seed=seed)))


class Floats(Boxes):
    def __getitem__(self, index: int) -> Tensor:
        return self.masks[index].float()


few_masks = _with(test_masks=Boxes(19))
float_masks = _with(test_masks=Floats(20))
large_masks = _with(test_masks=Boxes(20, size=2 * SIZE))
empty_masks = _with(test_masks=Boxes(20, box=slice(0)))
no_masks = _with(test_masks=None)

same_ids = _with(test_ids=[f"train/{index}" for index in range(20)])
few_ids = _with(test_ids=["test/0"])


def leaks(config: Config, *, seed: int) -> DataBundle:
    """Two of the test images are training images."""
    data = right(config, seed=seed)
    data.test.images[[3, 7]] = data.sample.images[[30, 31]]  # type: ignore[attr-defined, union-attr]
    return data


def _seedless(config: Config, *, seed: int) -> DataBundle:
    return right(config, seed=secrets.randbelow(2**31))


def other_images_each_time(config: Config, *, seed: int) -> DataBundle:
    return replace(_seedless(config, seed=seed), fingerprint="always the same")


other_fingerprint_each_time = _seedless


def other_ids_each_time(config: Config, *, seed: int) -> DataBundle:
    return replace(right(config, seed=seed), test_ids=[secrets.token_hex() for _ in range(20)])


# With a root, where no data are


def careful(config: RootConfig, *, seed: int) -> DataBundle:
    """What a data set should do without data."""
    if not (Path(config.root).expanduser() / "data").exists():
        raise DataUnavailableError(f"there is no file 'data' in {config.root}")
    return right(config, seed=seed)


def makes_data_up(config: RootConfig, *, seed: int) -> DataBundle:
    return right(config, seed=seed)


def careless(config: RootConfig, *, seed: int) -> DataBundle:
    """The network's error as it comes."""
    if not (Path(config.root) / "data").exists():
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    return right(config, seed=seed)


def cached(config: RootConfig, *, seed: int) -> DataBundle:
    """The data of an earlier run, kept where such things are kept."""
    if not (cache_root() / "kept").exists() and not Path("~/kept").expanduser().exists():
        return careful(config, seed=seed)
    return right(config, seed=seed)


# Without a root


def asks_the_network(config: Config, *, seed: int) -> DataBundle:
    """For nothing that it needs."""
    try:
        return right(config, seed=seed)
    finally:
        if not _network_is_there():
            raise ConnectionError("nobody answers")


def _network_is_there() -> bool:
    """Whether anybody may connect at all: outside the check, to this machine itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname()).close()
        except OSError:
            return False
        return True


def elsewhere(config: Config, *, seed: int) -> DataBundle:
    raise DataUnavailableError("the data are on another machine")
