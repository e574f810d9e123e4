"""The factory of the data set ``shapes``."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xaitool.contracts import DataBundle
from xaitool.data.arrays import ImageArray, MaskArray
from xaitool.data.shortcut import Patches, plant, shortcut_of
from xaitool.data.transforms import Step
from xaitool_shapes.config import Config
from xaitool_shapes.drawing import draw

_TRAIN, _TEST = 0, 1  # the streams of random numbers that the splits are drawn from


def build(config: Config, *, seed: int) -> DataBundle:
    """Draw the data set. `seed` is the run's; one in the config goes before it.

    mean and std are of the training images as they were drawn, before a shortcut's patch is painted on them.
    """
    seed = seed if config.seed is None else config.seed
    train = _draw_split(config, seed, _TRAIN, config.train)
    test = _draw_split(config, seed, _TEST, config.test)
    if config.shortcut:
        of_class = train.labels == config.classes.index(config.shortcut.label)
        train = replace(train, patches=plant(config.shortcut, train.ids, config.size, seed, of_class))
        test = replace(test, patches=plant(config.shortcut, test.ids, config.size, seed))
    mean, std = _moments(train.images)

    def images(split: _Split, steps: list[Step], fixed: bool = False) -> ImageArray:
        return ImageArray(split.images, split.labels, mean, std, steps, fixed=fixed, painted=split.patches)

    def test_images(patches: Patches | None) -> ImageArray:
        return images(replace(test, patches=patches), config.test_transform, fixed=True)

    shortcut = None
    if config.shortcut and test.patches:
        where = MaskArray(test.patches.masks(config.size), config.test_transform)
        shortcut = shortcut_of(config.shortcut, config.classes, test.patches, where, test_images)
    return DataBundle(
        train=images(train, config.augment),
        test=test_images(test.patches),
        classes=tuple(config.classes),
        mean=mean,
        std=std,
        train_ids=train.ids,
        test_ids=test.ids,
        fingerprint=_fingerprint(config.classes, train, test),
        test_masks=MaskArray(test.seen, config.test_transform),
        sample=images(train, []),
        shortcut=shortcut,
    )


@dataclass(frozen=True)
class _Split:
    """images N×H×W×3 and masks N×H×W as they were drawn, labels N, ids N; patches: what is painted on the images."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]
    ids: list[str]
    patches: Patches | None = None

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The masks, less what a patch hides of the object."""
        if self.patches is None:
            return self.masks
        hidden = self.patches.masks(self.masks.shape[1]) & self.patches.present[:, None, None]
        return self.masks & ~hidden


def _draw_split(config: Config, seed: int, split: int, count: int) -> _Split:
    # The classes take turns: balanced, and a longer split only adds images to a shorter one.
    labels = np.arange(count, dtype=np.int64) % len(config.classes)
    images, masks = draw(
        (seed, split),
        [config.classes[label] for label in labels],
        size=config.size,
        clutter=config.clutter,
        occlusion=config.occlusion,
        noise=config.noise,
    )
    name = ("train", "test")[split]
    return _Split(images, masks, labels, [f"{name}/{index:05d}" for index in range(count)])


def _moments(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, for pixel values in [0, 1].

    From whole-number sums, which come out the same however a machine orders its additions.
    """
    levels = range(256)
    means, stds = [], []
    for channel in np.moveaxis(images, -1, 0):
        counts = np.zeros(256, np.int64)
        for image in channel:
            counts += np.bincount(image.ravel(), minlength=256)
        each = counts.tolist()
        count, total = sum(each), sum(n * level for n, level in zip(each, levels, strict=True))
        squares = sum(n * level * level for n, level in zip(each, levels, strict=True))
        means.append(total / count / 255)
        stds.append(math.sqrt(count * squares - total * total) / count / 255)
    return tuple(means), tuple(stds)


def _fingerprint(classes: list[str], *splits: _Split) -> str:
    digest = hashlib.sha256(repr(classes).encode())
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        for array in (split.images, split.masks, split.labels.astype("<i8")):
            digest.update(array.tobytes())
        digest.update(split.patches.digest() if split.patches else b"")
    return digest.hexdigest()
