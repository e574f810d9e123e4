"""CIFAR-10 as a :class:`~xaitool.contracts.DataBundle`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xaitool.contracts import DataBundle
from xaitool.data.arrays import ImageArray, MaskArray, class_balanced
from xaitool.data.shortcut import Patches, ShortcutConfig, plant, shortcut_of
from xaitool.data.transforms import Step
from xaitool.errors import XaitoolError
from xaitool_cifar10.config import CLASSES, SIDE, Config
from xaitool_cifar10.sources import decoded

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """The chosen images of a split. images: the array's file; chosen: row numbers (None: all); labels, ids: theirs."""

    images: Path
    labels: NDArray[np.int64]
    ids: list[str]
    chosen: NDArray[np.int64] | None


def build(config: Config, *, seed: int) -> DataBundle:
    """All of CIFAR-10, or the class-balanced subset that `limit` asks for. Raises DataUnavailableError."""
    folder = decoded(Path(config.root).expanduser(), download=config.download)
    train = _split(folder, "train", config.limit.train, seed)
    test = _split(folder, "test", config.limit.test, seed)

    in_train, in_test = _patches(config.shortcut, train, test, seed)

    def images(rows: Rows, painted: Patches | None, steps: list[Step], fixed: bool = False) -> ImageArray:
        try:
            return ImageArray(rows.images, rows.labels, config.mean, config.std, steps, rows.chosen, fixed, painted)
        except ValueError as error:
            raise XaitoolError(f"dataset cifar10: {error}") from error

    def test_images(painted: Patches | None) -> ImageArray:
        return images(test, painted, config.test_transform, fixed=True)

    shortcut = None
    if config.shortcut and in_test:
        masks = MaskArray(in_test.masks(SIDE), config.test_transform)
        shortcut = shortcut_of(config.shortcut, CLASSES, in_test, masks, test_images)
    return DataBundle(
        train=images(train, in_train, config.augment),
        test=test_images(in_test),
        classes=CLASSES,
        mean=config.mean,
        std=config.std,
        train_ids=train.ids,
        test_ids=test.ids,
        fingerprint=_fingerprint(folder, (train, in_train), (test, in_test)),
        sample=images(train, in_train, []),
        shortcut=shortcut,
    )


def _split(folder: Path, name: str, limit: int | None, seed: int) -> Rows:
    images = folder / f"{name}_images.npy"
    labels = np.load(folder / f"{name}_labels.npy")
    ids = json.loads((folder / f"{name}_ids.json").read_text())
    if limit in (None, len(labels)):
        return Rows(images, labels, ids, None)
    if limit > len(labels):
        raise XaitoolError(f"dataset cifar10: limit.{name} asks for {limit} images, but there are {len(labels)}")
    chosen = class_balanced(labels, limit, seed)
    return Rows(images, labels[chosen], [ids[row] for row in chosen], chosen)


def _patches(
    config: ShortcutConfig | None, train: Rows, test: Rows, seed: int
) -> tuple[Patches, Patches] | tuple[None, None]:
    """The patches of the training and of the test images."""
    if config is None:
        return None, None
    of_class = train.labels == CLASSES.index(config.label)
    return plant(config, train.ids, SIDE, seed, of_class), plant(config, test.ids, SIDE, seed)


def _fingerprint(folder: Path, *splits: tuple[Rows, Patches | None]) -> str:
    """The digest of the decoded images and labels, of the rows taken from them and of what is painted on them."""
    digest = hashlib.sha256((folder / "sha256").read_bytes())
    for rows, patches in splits:
        digest.update(b"all" if rows.chosen is None else rows.chosen.tobytes())
        digest.update(patches.digest() if patches else b"")
    return digest.hexdigest()
