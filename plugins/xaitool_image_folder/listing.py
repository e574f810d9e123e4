"""Which files a folder of images holds, and what they are images of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xaitool.errors import DataUnavailableError
from xaitool.suggest import did_you_mean

TRAIN = "train"
TESTS = ("test", "val", "valid", "validation")
# What systems leave behind in folders; whatever begins with a dot is hidden as well.
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass
class Listing:
    """Files below a root, by split ("" where there is but one), each with its class.

    strays: what lies there and can be no image of a class, with the reason.
    """

    root: Path
    classes: list[str]
    files: dict[str, list[tuple[Path, str]]]
    strays: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """All images, in a fixed order."""
        return [path for files in self.files.values() for path, _ in files]

    def name(self, path: Path) -> str:
        """What to call a file: its path below the root, readable whatever bytes it is made of."""
        return readable(path.relative_to(self.root).as_posix())


def readable(name: str) -> str:
    """A file's name as text that can be written down; bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def listed(root: Path) -> Listing:
    """All that is in a folder of images. Raises DataUnavailableError where it is none, and says what is missing."""
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        raise DataUnavailableError(f"dataset image_folder: {root}: {what}")
    train = root / TRAIN
    tests = next((root / name for name in TESTS if (root / name).is_dir()), None)
    if tests and not train.is_dir():
        raise DataUnavailableError(
            f"dataset image_folder: {root} has {tests.name}, but no {TRAIN}; rename a folder, or point root at the "
            "folder that holds the classes"
        )
    if not train.is_dir():
        return _of({"": root}, root)
    return _of({TRAIN: train, tests.name: tests} if tests else {TRAIN: train}, root)


def _of(folders: dict[str, Path], root: Path) -> Listing:
    """The first folder says which classes there are."""
    found = Listing(root, [], {})
    for split, folder in folders.items():
        names = {readable(each.name): each for each in _visible(folder) if each.is_dir()}
        found.strays += [(each, "it lies in no class's folder") for each in _visible(folder) if not each.is_dir()]
        if not found.classes:
            found.classes = sorted(names)
            _enough(found, folder)
        for unknown in sorted(names.keys() - set(found.classes)):
            raise DataUnavailableError(
                f"dataset image_folder: {names[unknown]} is no class of {folders[TRAIN]}"
                f"{did_you_mean(unknown, found.classes)}"
            )
        files = [(path, name) for name in sorted(names) for path in _files(names[name])]
        # A pipe would keep its reader waiting for ever.
        found.files[split] = [(path, name) for path, name in files if path.is_file()]
        found.strays += [(path, "it is no file, or a link to none") for path, _ in files if not path.is_file()]
    return found


def _enough(found: Listing, folder: Path) -> None:
    if len(found.classes) >= 2:
        return
    has = f"but one class, '{found.classes[0]}'" if found.classes else "no classes"
    loose = f" ({len(found.strays):,} files lie in no class's folder)" if found.strays else ""
    raise DataUnavailableError(
        f"dataset image_folder: {folder} has {has}{loose}; there should be a folder for each of two classes at least, "
        "named as the class is, with its images in it"
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files in a class's folder and those below it, in a fixed order."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _counts(name))
        yield from (Path(here) / name for name in sorted(files) if _counts(name))


def _visible(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if _counts(each.name))


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _LITTER
