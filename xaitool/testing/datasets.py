"""Checks for data sets: images, labels and masks as promised, the same every time, and nothing in both splits."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NoReturn
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from xaitool.contracts import DataBundle, HalfDone, Images, Masks
from xaitool.engine.loading import make_loader
from xaitool.engine.randomness import kept, seed_all
from xaitool.errors import DataUnavailableError
from xaitool.testing.checks import CheckError, check, expect, expect_error
from xaitool.testing.specimen import Specimen

# How many items of a split are looked at, spread over it: a few where each is looked at closely, else many.
FEW, MANY = 16, 2000
# A step between two of an image's 256 levels, in units of [0, 1] pixel values.
LEVEL = 1 / 255
# Wherever a data set might keep something from an earlier run.
_HOMES = ("HOME", "USERPROFILE", "XAITOOL_CACHE", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")


@check("images", "dataset")
@kept()
def images(specimen: Specimen) -> None:
    """Images of both splits are finite float32 tensors, channels × height × width, one mean and std a channel."""
    bundle = _bundle(specimen)
    channels = len(bundle.mean)
    expect(channels == len(bundle.std), f"mean has {channels} numbers and std {len(bundle.std)}; one a channel each")
    expect(min(bundle.std) > 0, f"std is {bundle.std}; each should be above 0")
    for name, split in _splits(bundle):
        expect(len(split) > 0, f"there are no {name} images")
        for index in _spread(len(split), FEW):
            image, _ = split[index]
            which = f"{name} image {index}"
            expect(isinstance(image, Tensor), f"{which} is a {type(image).__name__}, not a tensor")
            expect(image.dtype == torch.float32, f"{which} is {image.dtype}, not torch.float32")
            expect(image.ndim == 3, f"{which} has shape {tuple(image.shape)}, not channels x height x width")
            expect(len(image) == channels, f"{which} has {len(image)} channels, but there are {channels} means")
            wrong = int((~image.isfinite()).sum())
            expect(not wrong, f"{which}: {wrong} of its {image.numel()} values are NaN or infinite")


@check("labels", "dataset")
@kept()
def labels(specimen: Specimen) -> None:
    """Labels are ints that number the classes (all of a split's attribute `labels`, or else up to 2,000 items')."""
    bundle = _bundle(specimen)
    last = len(bundle.classes) - 1
    for name, split in _splits(bundle):
        known = getattr(split, "labels", ())
        listed = len(known) == len(split)
        found = {index: split[index][1] for index in _spread(len(split), FEW if listed else MANY)}
        for index, label in found.items():
            expect(isinstance(label, int), f"the label of {name} image {index} is a {type(label).__name__}, not an int")
        for index, label in enumerate(known) if listed else found.items():
            expect(0 <= int(label) <= last, f"the label of {name} image {index} is {label}, not in 0..{last}")


@check("test-items-fixed", "dataset")
@kept()
def fixed_test_items(specimen: Specimen) -> None:
    """Test items are the same bit for bit each time, in any order and whatever the global random state."""
    split = _bundle(specimen).test
    chosen = _spread(len(split), FEW)
    first = _fetch(split, chosen, seed=1)
    again = _fetch(split, chosen[::-1], seed=2)[::-1]
    whole = _fetch(split, chosen, seed=3, whole=True)
    for how, others in (("the second time", again), ("fetched in a batch", whole)):
        for index, one, other in zip(chosen, first, others, strict=True):
            expect(_equal(one, other), f"test image {index} is another one {how}: {_difference(one, other)}")


@check("same-batches-any-workers", "dataset")
@kept()
def same_batches_any_workers(specimen: Specimen) -> None:
    """The first batches of two epochs are the same with no worker and with two, from the same seed."""
    split = _bundle(specimen).train
    seed_all(1)
    alone = _first_batches(split, workers=0)
    seed_all(2)
    helped = _first_batches(split, workers=2)
    for (epoch, number, one), (_, _, other) in zip(alone, helped, strict=True):
        expect(
            _equal(one, other),
            f"batch {number} of epoch {epoch} is another one with two workers: {_difference(one, other)}; "
            "draw whatever is random from torch's, numpy's or Python's global generator",
        )


@check("on-device", "dataset")
@kept()
def on_device(specimen: Specimen) -> None:
    """Where `train` can leave its last transforms to the device: images and labels as its items, by the seed alone."""
    split = _bundle(specimen).train
    if not hasattr(split, "on_device"):
        return
    try:
        half_done = split.on_device()
    except ValueError:  # not with these options
        return
    expect(
        isinstance(half_done, HalfDone),
        f"on_device() gives a {type(half_done).__name__}, which has no batch(indices) and finish(pixels, drawn)",
    )
    chosen = _spread(len(split), FEW)
    items = [split[index] for index in chosen]
    images, labels = _finished(half_done, chosen)
    shape, expected = tuple(images.shape), (len(chosen), *items[0][0].shape)
    expect(images.dtype == torch.float32, f"finished images are {images.dtype}, not torch.float32")
    expect(shape == expected, f"{len(chosen)} finished images are {shape}, not {expected} as the items are")
    expect(
        labels == [label for _, label in items], f"the labels of train images {chosen} are {labels}, unlike the items'"
    )
    again, _ = _finished(half_done, chosen)
    expect(
        _equal(images, again),
        f"the same batch after the same seed is another one: {_difference(images, again)}; draw whatever is random "
        "in `batch`, from torch's, numpy's or Python's global generator",
    )


@check("display", "dataset")
@kept()
def display(specimen: Specimen) -> None:
    """Undoing the normalisation with mean and std gives pixel values in [0, 1], and `display` shows just these."""
    bundle = _bundle(specimen)
    mean, std = (torch.tensor(each, dtype=torch.float32).view(-1, 1, 1) for each in (bundle.mean, bundle.std))
    for index in _spread(len(bundle.test), FEW):
        image, _ = bundle.test[index]
        pixels = image * std + mean
        least, most = float(pixels.min()), float(pixels.max())
        expect(
            least >= -LEVEL and most <= 1 + LEVEL,
            f"test image {index} times std plus mean lies in {least:.3f}..{most:.3f}, not in 0..1: "
            "mean and std are not those it was normalised with",
        )
        off = float((bundle.display(image) - pixels).abs().max())
        expect(
            off <= LEVEL,
            f"display(test image {index}), normalised again, is another image: "
            f"pixels differ by up to {off:.3f}; at most {LEVEL:.3f} (1/255) is expected",
        )


@check("masks", "dataset")
@kept()
def masks(specimen: Specimen) -> None:
    """Where there are evidence masks: one a test image, bool and of the image's size, and not all of them empty."""
    bundle = _bundle(specimen)
    if bundle.test_masks is None:
        return
    count = len(bundle.test)
    expect(len(bundle.test_masks) == count, f"there are {len(bundle.test_masks)} masks for {count} test images")
    chosen = _spread(count, MANY)
    shown = [_checked_mask(bundle.test_masks, index, bundle.test[index][0]) for index in chosen]
    expect(any(shown), f"all {len(chosen)} masks that were looked at are empty: there is no object anywhere")


@check("no-overlap", "dataset")
@kept()
def no_overlap(specimen: Specimen) -> None:
    """No id stands for two samples, and no picture is in both splits (of up to 2,000 of each, spread over them)."""
    bundle = _bundle(specimen)
    for name, split, ids in (("train", bundle.train, bundle.train_ids), ("test", bundle.test, bundle.test_ids)):
        expect(len(ids) == len(split), f"there are {len(ids)} ids for {len(split)} {name} images")
    times = Counter(itertools.chain(bundle.train_ids, bundle.test_ids))
    often, most = times.most_common(1)[0]
    expect(most == 1, f"{sum(n > 1 for n in times.values())} ids stand for several samples: {often!r} for {most}")
    # Undistorted training images, where they are to be had: an augmented one never equals a test image.
    learnt, tested = _digests(bundle.sample or bundle.train), _digests(bundle.test)
    both = [(learnt[digest], index) for digest, index in tested.items() if digest in learnt]
    expect(
        not both,
        f"{len(both)} of {len(tested)} test images looked at are training images too: "
        + ", ".join(f"test {index} is train {other}" for other, index in both[:3]),
    )


@check("seeded", "dataset")
@kept()
def seeded(specimen: Specimen) -> None:
    """Built twice with one seed, the data are the same: fingerprint, ids and images of both splits."""
    seed_all(1)
    one = _bundle(specimen)
    seed_all(2)
    other = _bundle(specimen)
    expect(
        one.fingerprint == other.fingerprint,
        f"two builds with seed 0 have the fingerprints {one.fingerprint!r} and {other.fingerprint!r}",
    )
    same_ids = [*one.train_ids, *one.test_ids] == [*other.train_ids, *other.test_ids]
    expect(same_ids, "two builds with seed 0 have different ids, or the same in another order")
    for (name, split), (_, twin) in zip(_splits(one), _splits(other), strict=True):
        chosen = _spread(len(split), FEW)
        pairs = zip(chosen, _fetch(split, chosen, seed=3), _fetch(twin, chosen, seed=3), strict=True)
        for index, image, again in pairs:
            expect(
                _equal(image, again),
                f"two builds with seed 0 give different {name} images {index}: {_difference(image, again)}",
            )


@check("no-data-no-network", "dataset")
def no_data_no_network(specimen: Specimen) -> None:
    """Without network, an empty `root` is a DataUnavailableError and nothing else; data without `root` are just built.

    Data without `root` that are not to be had raise DataUnavailableError too, which is let through: not checked.
    """
    needs_root = "root" in specimen.offer.component.load_config().model_fields
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, dict.fromkeys(_HOMES, home)))
        stack.enter_context(_no_network())
        if needs_root:
            with expect_error(DataUnavailableError, "built from an empty root, without network"):
                replace(specimen, options={**specimen.options, "root": root}).build()
            return
        try:
            specimen.build()
        except (DataUnavailableError, CheckError):
            raise
        except Exception as error:
            raise CheckError(f"built without network, it raises {type(error).__name__} ({error})") from error


def _bundle(specimen: Specimen) -> DataBundle:
    bundle = specimen.build()
    expect(isinstance(bundle, DataBundle), f"the factory returns a {type(bundle).__name__}, not a DataBundle")
    return bundle  # type: ignore[no-any-return]


def _splits(bundle: DataBundle) -> tuple[tuple[str, Images], tuple[str, Images]]:
    return ("train", bundle.train), ("test", bundle.test)


def _spread(size: int, most: int) -> list[int]:
    """Up to `most` indices, spread evenly from the first item to the last."""
    return [] if not size else np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int)).tolist()


def _fetch(split: Images, chosen: Sequence[int], seed: int, whole: bool = False) -> list[Tensor]:
    """Images, from one global random state; whole: as a batch, where the data set can."""
    seed_all(seed)
    batch = getattr(split, "__getitems__", None) if whole else None
    return [image for image, _ in (batch(list(chosen)) if batch else [split[index] for index in chosen])]


def _first_batches(split: Images, workers: int) -> list[tuple[int, int, Tensor]]:
    """(epoch, number, images N×C×H×W and labels as one vector) of the first six batches of two epochs."""
    # Half of a small split at most, so that each worker has a batch.
    loader: Any = make_loader(split, max(1, min(8, len(split) // 2)), shuffle=True, seed=5, workers=workers)
    found = []
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)
        for number, (batch, targets) in enumerate(itertools.islice(loader, 6)):
            found.append((epoch, number, torch.cat([batch.flatten(), targets])))
    return found


def _finished(half_done: HalfDone, chosen: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Images and labels of a batch, from one global random state, finished in any."""
    seed_all(1)
    pixels, drawn, labels = half_done.batch(list(chosen))
    torch.seed()  # a device has a generator of its own, wherever that is
    return half_done.finish(pixels, drawn), labels.tolist()


def _checked_mask(found: Masks, index: int, image: Tensor) -> bool:
    """Whether a mask shows anything."""
    mask, size = found[index], tuple(image.shape[1:])
    expect(
        isinstance(mask, Tensor) and mask.dtype == torch.bool,
        f"mask {index} is {mask.dtype if isinstance(mask, Tensor) else type(mask).__name__}, not torch.bool",
    )
    expect(tuple(mask.shape) == size, f"mask {index} is {tuple(mask.shape)}, but test image {index} is {size}")
    return bool(mask.any())


def _digests(split: Images) -> dict[bytes, int]:
    """Digest of an image's values -> its index."""
    chosen = _spread(len(split), MANY)
    return {hashlib.sha256(split[index][0].contiguous().numpy().tobytes()).digest(): index for index in chosen}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())


def _difference(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"{tuple(one.shape)} and {tuple(other.shape)}"
    differ, most = int((one != other).sum()), float((one - other).abs().max())
    return f"{differ} of {one.numel()} values differ, by up to {most:.3g}"


@contextmanager
def _no_network() -> Iterator[None]:
    """Whoever asks the network hears that there is none."""

    def refuse(*_arguments: Any, **_named: Any) -> NoReturn:
        raise OSError("there is no network in this check")

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(socket.socket, "connect", refuse))
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
        stack.enter_context(mock.patch.object(socket, "create_connection", refuse))
        yield
