"""A folder of images as a :class:`~xaitool.contracts.DataBundle`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xaitool.contracts import DataBundle
from xaitool.data.assemble import Split, assembled
from xaitool.data.decode import decode
from xaitool.data.pictures import ImageFiles
from xaitool.data.scan import Look, listing, look_through
from xaitool.data.split import stratified
from xaitool.errors import DataUnavailableError
from xaitool_image_folder.config import Config
from xaitool_image_folder.listing import TRAIN, Listing, listed

A_FIFTH = 0.2
_TOLD = 10  # problems told in one error


def build(config: Config, *, seed: int) -> DataBundle:
    """Look through the folder, leave out what is no image, split where it is not split, and decode when asked.

    Raises DataUnavailableError where there are no images to be had; with `strict`, where a file is none.
    """
    root = Path(config.root).expanduser()
    try:
        found = listed(root)
        paths = found.paths
        looks = look_through(listing(root, paths), len(paths), lambda index: decode(paths[index]))
    except OSError as error:
        raise DataUnavailableError(f"dataset image_folder: {root} cannot be looked through: {error}") from error
    skipped = _skipped(found, paths, looks)
    if skipped and config.strict:
        raise DataUnavailableError(_refusal(skipped))
    splits = _splits(found, paths, looks, root)
    _no_class_is_empty(found, splits[0], skipped)
    if len(splits) == 1:
        train, test = _apart(splits[0], A_FIFTH if config.test is None else config.test, seed, root)
    elif config.test is None:
        train, test = splits
    else:
        name = list(found.files)[1]
        raise DataUnavailableError(
            f"dataset image_folder: there are test images in {root / name}; leave out 'test: {config.test:g}', or "
            f"point root at {root / TRAIN}"
        )
    return assembled("image_folder", config, train, test, found.classes, seed, skipped, found.notes)


def _skipped(found: Listing, paths: Sequence[Path], looks: Sequence[Look]) -> list[tuple[str, str]]:
    unread = [(found.name(path), look.reason) for path, look in zip(paths, looks, strict=True) if look.reason]
    return unread + [(found.name(path), reason) for path, reason in found.strays]


def _refusal(skipped: Sequence[tuple[str, str]]) -> str:
    more = [f"... and {len(skipped) - _TOLD:,} more"] if len(skipped) > _TOLD else []
    return "\n  ".join(
        [
            f"dataset image_folder: {len(skipped):,} files cannot be used (strict: true):",
            *(f"{name}: {reason}" for name, reason in skipped[:_TOLD]),
            *more,
            "Mend them or take them away; strict: false leaves them out",
        ]
    )


def _splits(found: Listing, paths: Sequence[Path], looks: Sequence[Look], root: Path) -> list[Split]:
    """What can be read of each split."""
    looked = dict(zip(paths, looks, strict=True))
    splits = []
    for name, files in found.files.items():
        good = [(path, label) for path, label in files if not looked[path].reason]
        if not good:
            raise DataUnavailableError(f"dataset image_folder: {root / name} holds no image that can be read")
        relative = [str(path.relative_to(root)) for path, _ in good]
        labels = np.array([found.classes.index(label) for _, label in good], np.int64)
        sizes = [looked[path].size for path, _ in good]
        digests = [looked[path].digest for path, _ in good]
        splits.append(Split(ImageFiles(root, relative, sizes), labels, [found.name(path) for path, _ in good], digests))
    return splits


def _no_class_is_empty(found: Listing, train: Split, skipped: Sequence[tuple[str, str]]) -> None:
    present = set(train.labels.tolist())
    empty = [name for label, name in enumerate(found.classes) if label not in present]
    if empty:
        why = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataUnavailableError(
            f"dataset image_folder: no image that can be read of {', '.join(map(repr, empty))}{why}; put some into "
            "the class's folder, or take the folder away"
        )


def _apart(whole: Split, fraction: float, seed: int, root: Path) -> tuple[Split, Split]:
    """One folder's images, some of each class for the test."""
    tested = stratified(whole.ids, whole.labels, fraction, seed)
    if not tested.any():
        raise DataUnavailableError(f"dataset image_folder: {root} has one image of each class; none is left to test on")
    return whole.only(np.flatnonzero(~tested)), whole.only(np.flatnonzero(tested))
