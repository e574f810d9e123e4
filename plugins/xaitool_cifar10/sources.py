"""Where CIFAR-10 comes from: the official archive or a tree of PNG files, decoded once into arrays in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from xaitool.data.archives import kept_inside
from xaitool.data.cache import cached_folder
from xaitool.errors import DataUnavailableError, XaitoolError
from xaitool.suggest import did_you_mean
from xaitool_cifar10.config import CLASSES, DEFAULT_ROOT

SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")

_log = logging.getLogger("xaitool.cifar10")


def decoded(root: Path, download: bool) -> Path:
    """The cache's folder with, for each split, ``*_images.npy``, ``*_labels.npy`` and ``*_ids.json``.

    Raises DataUnavailableError where root has no data and they cannot be fetched.
    """
    if _is_tree(root):
        files = {split: _png_files(root / split) for split in SPLITS}
        return cached_folder(f"cifar10-png-{_listing_digest(root, files)}", lambda to: _decode_pngs(root, files, to))
    if not root.exists() and root != Path(DEFAULT_ROOT).expanduser():
        # A mistyped name must neither be answered from the cache nor have 170 MB fetched into it.
        raise DataUnavailableError(_ways_out(root, False, FileNotFoundError(f"there is no folder {root}")))
    return cached_folder(f"cifar10-{CIFAR10.tgz_md5}", lambda to: _decode_official(root, download, to))


def _decode_official(root: Path, download: bool, to: Path) -> None:
    for split in SPLITS:
        data = _official(root, split == "train", download)
        _save(to, split, data.data, data.targets, [f"{split}/{index:05d}" for index in range(len(data.data))])
    _seal(to)


def _official(root: Path, train: bool, download: bool) -> CIFAR10:
    """Torchvision's data set, which checks the md5 of every file before it unpickles it."""
    archive = root / CIFAR10.filename
    if archive.exists() and not check_integrity(archive, CIFAR10.tgz_md5):
        raise DataUnavailableError(
            f"{archive} is not the official CIFAR-10 archive, or is damaged: its md5 is not {CIFAR10.tgz_md5}; "
            "replace it, or delete it to have it fetched again"
        )
    found = archive.exists()
    try:
        # With the archive in place "download" only unpacks it.
        with kept_inside():
            return CIFAR10(root, train=train, download=download or found)
    except (OSError, RuntimeError, HTTPException) as error:
        if not found and archive.exists() and not check_integrity(archive, CIFAR10.tgz_md5):
            archive.unlink()  # half a download, which would stand in the way of the next
        raise DataUnavailableError(_ways_out(root, download, error)) from error


def _ways_out(root: Path, download: bool, error: Exception) -> str:
    archive, unpacked = root / CIFAR10.filename, root / CIFAR10.base_folder
    tried = [
        f"{root / 'train'}/<class>/*.png: not there",
        f"{unpacked}: {'there, but not complete and as it was published' if unpacked.exists() else 'not there'}",
        f"{archive}: {f'unpacking it: {error}' if archive.exists() else 'not there'}",
    ]
    if not archive.exists():
        refused = "the folder does not exist" if not root.exists() else "not allowed (download: false)"
        tried.append(f"fetching {CIFAR10.url}: {error}" if download else f"fetching it: {refused}")
    return "\n  ".join(
        [
            "there is no CIFAR-10 to be had. Tried:",
            *tried,
            "Ways out:",
            f"- put the official archive at {archive} (md5 {CIFAR10.tgz_md5})",
            "- point dataset.root at a folder with the archive, or with train/<class>/*.png and test/<class>/*.png "
            "(--set dataset.root=FOLDER)",
            "- run the quickstart, which needs no data: xaitool run quickstart",
        ]
    )


def _is_tree(root: Path) -> bool:
    """Whether this is meant to be a tree of PNG files, though part of it may be missing."""
    folders = [root / split for split in SPLITS]
    return all(map(Path.is_dir, folders)) or any((folder / name).is_dir() for folder in folders for name in CLASSES)


def _png_files(folder: Path) -> list[Path]:
    """All images of a split, by class and name."""
    files = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and path.name not in CLASSES and not path.name.startswith("."):
            raise DataUnavailableError(f"{path} is no class of CIFAR-10{did_you_mean(path.name, CLASSES)}")
    for name in CLASSES:
        found = sorted((folder / name).glob("*.png"))
        if not found:
            raise DataUnavailableError(f"{folder / name} holds no PNG files; there should be {', '.join(CLASSES)}")
        files += found
    return files


def _listing_digest(root: Path, files: dict[Any, list[Path]]) -> str:
    """A digest of the files' names, sizes and times: another one means to decode again."""
    digest = hashlib.sha256(str(root.resolve()).encode())
    for path in (path for paths in files.values() for path in paths):
        status = path.stat()
        digest.update(f"{path.relative_to(root)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:32]


def _decode_pngs(root: Path, files: dict[Any, list[Path]], to: Path) -> None:
    _log.info("decoding %s PNG files into the cache, once", f"{sum(map(len, files.values())):,}")
    for split, paths in files.items():
        images = open_memmap(to / f"{split}_images.npy", mode="w+", dtype=np.uint8, shape=(len(paths), 32, 32, 3))
        for row, image in enumerate(_pixels(paths)):
            images[row] = image
        images.flush()
        labels = [CLASSES.index(path.parent.name) for path in paths]
        _save(to, split, None, labels, [path.relative_to(root).with_suffix("").as_posix() for path in paths])
    _seal(to)


def _pixels(paths: Sequence[Path]) -> Iterator[Any]:
    for path in paths:
        try:
            with Image.open(path) as image:
                width, height = image.size
                # Of another size, it need not be decoded.
                pixels = np.asarray(image.convert("RGB")) if (width, height) == (32, 32) else None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            # Of Pillow's ways to say that a PNG is broken, SyntaxError is one.
            raise XaitoolError(f"{path} cannot be read as an image: {error}") from error
        if pixels is None:
            raise XaitoolError(f"{path} has {width}x{height} pixels; CIFAR-10 images have 32x32")
        yield pixels


def _save(to: Path, split: str, images: Any, labels: Sequence[int], ids: Sequence[str]) -> None:
    if images is not None:
        np.save(to / f"{split}_images.npy", images)
    np.save(to / f"{split}_labels.npy", np.asarray(labels, np.int64))
    (to / f"{split}_ids.json").write_text(json.dumps(ids))


def _seal(to: Path) -> None:
    """Note the digest of all images and labels."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for part in ("images", "labels"):
            digest.update(np.ascontiguousarray(np.load(to / f"{split}_{part}.npy", mmap_mode="r")).data)
    (to / "sha256").write_text(digest.hexdigest())
