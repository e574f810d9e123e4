"""Pictures of any size, their labels and their options, put together as a :class:`~xaitool.contracts.DataBundle`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xaitool.contracts import DataBundle
from xaitool.data.arrays import ImageArray, class_balanced
from xaitool.data.moments import moments
from xaitool.data.options import PictureOptions, fitted
from xaitool.data.pictures import Pictures
from xaitool.data.transforms import Step
from xaitool.errors import XaitoolError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """The images of one split.

    labels: N; ids: N, unique and stable; digests: N, of the pixels. rows: N, which of the pictures these are; left out:
    all, in their order.
    """

    pictures: Pictures
    labels: NDArray[np.int64]
    ids: Sequence[str]
    digests: Sequence[str]
    rows: NDArray[np.int64] | None = None

    def only(self, chosen: NDArray[np.int64]) -> Split:
        """Some of them."""
        rows = chosen if self.rows is None else self.rows[chosen]
        ids, digests = [self.ids[row] for row in chosen], [self.digests[row] for row in chosen]
        return Split(self.pictures, self.labels[chosen], ids, digests, rows)


def assembled(
    name: str,
    options: PictureOptions,
    train: Split,
    test: Split,
    classes: Sequence[str],
    seed: int,
    skipped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> DataBundle:
    """The bundle. name: of the component, for errors. Raises XaitoolError where the options do not fit the images."""
    train = _limited(name, "train", train, options.limit.train, seed)
    test = _limited(name, "test", test, options.limit.test, seed)
    fit = fitted(options.size, options.fit)
    steps = [*fit, *options.test_transform]
    fingerprint = _fingerprint(options, classes, train, test)

    def images(
        split: Split, steps: list[Step], mean: Sequence[float], std: Sequence[float], fixed: bool = False
    ) -> ImageArray:
        try:
            return ImageArray(split.pictures, split.labels, mean, std, steps, split.rows, fixed)
        except ValueError as error:
            raise XaitoolError(f"dataset {name}: {error}{_way_out(options)}") from error

    mean, std = options.mean, options.std
    if mean is None or std is None:
        plain = images(train, steps, (0, 0, 0), (1, 1, 1), fixed=True)
        key = hashlib.sha256(f"{fingerprint} {json.dumps(steps)}".encode()).hexdigest()[:32]
        mean, std = moments(key, len(plain), lambda row: plain.pixels([row])[0])
    return DataBundle(
        train=images(train, [*fit, *options.augment], mean, std),
        test=images(test, steps, mean, std, fixed=True),
        classes=tuple(classes),
        mean=mean,
        std=std,
        train_ids=train.ids,
        test_ids=test.ids,
        fingerprint=fingerprint,
        sample=images(train, steps, mean, std, fixed=True),
        notes=[*notes, *_remarks(classes, train, test)],
        skipped=skipped,
    )


def _limited(name: str, which: str, split: Split, limit: int | None, seed: int) -> Split:
    if limit is None:
        return split
    if limit > len(split.ids):
        raise XaitoolError(f"dataset {name}: limit.{which} asks for {limit} images, but there are {len(split.ids)}")
    return split.only(class_balanced(split.labels, limit, seed))


def _way_out(options: PictureOptions) -> str:
    return "; give a size, or let augment and test_transform end in one" if options.size is None else ""


def _fingerprint(options: PictureOptions, classes: Sequence[str], *splits: Split) -> str:
    """Of what the images show, their labels and ids, and how they come to their size."""
    digest = hashlib.sha256(json.dumps([list(classes), options.size, options.fit]).encode())
    for split in splits:
        for name, label, pixels in zip(split.ids, split.labels.tolist(), split.digests, strict=True):
            digest.update(f"{pixels} {label} {name}\n".encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _remarks(classes: Sequence[str], train: Split, test: Split) -> list[str]:
    """What makes the figures of a run worth less than they seem."""
    remarks = []
    tested = set(test.labels.tolist())
    if without := [name for label, name in enumerate(classes) if label not in tested]:
        remarks.append(f"no test images of {_some(without)}")
    learnt = set(train.digests)
    if both := [name for name, pixels in zip(test.ids, test.digests, strict=True) if pixels in learnt]:
        which = (
            "1 test image is a training image" if len(both) == 1 else f"{len(both):,} test images are training images"
        )
        remarks.append(f"{which} too, to the pixel: {_some(both)}")
    return remarks


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
