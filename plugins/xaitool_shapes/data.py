"""The factory of the data set ``shapes``."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xaitool.contracts import DataBundle
from xaitool.data.arrays import ImageArray, MaskArray
from xaitool_shapes.config import Config
from xaitool_shapes.drawing import draw

_TRAIN, _TEST = 0, 1  # the streams of random numbers that the splits are drawn from


def build(config: Config, *, seed: int) -> DataBundle:
    """Draw the data set. `seed` is the run's; one in the config goes before it."""
    seed = seed if config.seed is None else config.seed
    train = _draw_split(config, seed, _TRAIN, config.train)
    test = _draw_split(config, seed, _TEST, config.test)
    mean, std = _moments(train.images)
    return DataBundle(
        train=ImageArray(train.images, train.labels, mean, std, config.augment),
        test=ImageArray(test.images, test.labels, mean, std, config.test_transform, fixed=True),
        classes=tuple(config.classes),
        mean=mean,
        std=std,
        train_ids=[f"train/{index:05d}" for index in range(config.train)],
        test_ids=[f"test/{index:05d}" for index in range(config.test)],
        fingerprint=_fingerprint(config.classes, train, test),
        test_masks=MaskArray(test.masks, config.test_transform),
        sample=ImageArray(train.images, train.labels, mean, std),
    )


@dataclass(frozen=True)
class _Split:
    """images N×H×W×3, masks N×H×W, labels N."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]


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
    return _Split(images, masks, labels)


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
    return digest.hexdigest()
