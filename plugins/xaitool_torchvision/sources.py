"""torchvision's data sets by name: how their splits are asked for, and what their classes are called."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets

from xaitool.data.archives import kept_inside
from xaitool.errors import DataUnavailableError
from xaitool_torchvision.config import DEFAULT_ROOT

DIGITS = tuple(map(str, range(10)))
_FLAG = ({"train": True}, {"train": False})


@dataclass(frozen=True)
class Source:
    """Arguments for the training and the test images; classes: where the data set itself has no names for them."""

    train: Mapping[str, Any]
    test: Mapping[str, Any]
    classes: tuple[str, ...] = ()


def _splits(train: str, test: str, classes: tuple[str, ...] = ()) -> Source:
    return Source({"split": train}, {"split": test}, classes)


SOURCES = {
    "CIFAR10": Source(*_FLAG),
    "CIFAR100": Source(*_FLAG),
    "MNIST": Source(*_FLAG),
    "FashionMNIST": Source(*_FLAG),
    "KMNIST": Source(*_FLAG),
    "USPS": Source(*_FLAG, DIGITS),
    "SVHN": _splits("train", "test", DIGITS),
    "STL10": _splits("train", "test"),
    "RenderedSST2": _splits("train", "test"),
    "GTSRB": _splits("train", "test", tuple(f"{number:02d}" for number in range(43))),
    "DTD": _splits("train", "test"),
    "FGVCAircraft": _splits("trainval", "test"),
    "Flowers102": _splits("train", "test"),
    "Food101": _splits("train", "test"),
    "OxfordIIITPet": _splits("trainval", "test"),
    "Country211": _splits("train", "test"),
    "Imagenette": _splits("train", "val"),
}

# All that torchvision and the libraries below it raise at files that are not there, cut short or something else.
_TROUBLE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    AssertionError,
    HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
    ModuleNotFoundError,
)


def opened(name: str, root: Path, download: bool, arguments: Mapping[str, Any]) -> Any:
    """The data set as torchvision opens it, which checks its checksums; fetched where that is allowed.

    Raises DataUnavailableError.
    """
    if not root.exists():
        if root != Path(DEFAULT_ROOT).expanduser():  # a mistyped name must not have a data set fetched into it
            raise _unavailable(name, root, f"there is no folder {root}")
        if download:
            root.mkdir(parents=True)
    try:
        with kept_inside():
            return getattr(datasets, name)(root, download=download, **arguments)
    except _TROUBLE as error:
        tried = "it could not be fetched" if download else "it is not there, and may not be fetched (download: false)"
        raise _unavailable(name, root, f"{tried}: {str(error) or type(error).__name__}") from error


def _unavailable(name: str, root: Path, reason: str) -> DataUnavailableError:
    page = f"https://pytorch.org/vision/stable/generated/torchvision.datasets.{name}.html"
    return DataUnavailableError(
        f"dataset torchvision: no complete {name} in {root}; {reason}\n"
        f"Put its files there as torchvision does ({page}), or run once where there is a network"
    )


def classes_of(data: Any, source: Source) -> tuple[str, ...]:
    """The classes' names, in the order of the labels."""
    return tuple(map(str, source.classes or data.classes))


def labels_of(data: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """All labels, without decoding an image where the data set keeps them apart from these."""
    for attribute in ("targets", "labels", "_labels"):
        if (found := getattr(data, attribute, None)) is not None:
            return np.asarray(found).astype(np.int64)
    samples = getattr(data, "_samples", None) or getattr(data, "samples", None)
    if samples is not None:
        return np.array([label for _, label in samples], np.int64)
    return np.array([data[index][1] for index in range(len(data))], np.int64)


def files_of(data: Any, root: Path) -> list[Path]:
    """The files that the data set reads from, as far as it tells."""
    homes = [Path(data.__dict__[name]) for name in ("_base_folder", "_size_root") if name in data.__dict__]
    homes += [root / each for each in (getattr(data, "base_folder", None), type(data).__name__) if each]
    home = next((each for each in homes if each.is_dir()), None)
    return sorted(path for path in (home.rglob("*") if home else root.iterdir()) if path.is_file())
