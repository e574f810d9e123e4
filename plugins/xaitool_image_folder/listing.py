"""Which files a folder of images holds, and what they are images of."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xaitool.characters import printable
from xaitool.errors import DataUnavailableError
from xaitool.suggest import did_you_mean

TRAIN = "train"
TESTS = ("test", "val", "valid", "validation")
# What systems leave behind in folders; whatever begins with a dot is hidden as well.
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass
class Listing:
    """Files below a root, by split ("" where there is but one), each with its class.

    strays: what lies there and can be no image of a class, with the reason. notes: on what else is left out.
    """

    root: Path
    classes: list[str]
    files: dict[str, list[tuple[Path, str]]]
    strays: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """All images, in a fixed order."""
        return [path for files in self.files.values() for path, _ in files]

    def name(self, path: Path) -> str:
        """What to call a file: its path below the root, readable whatever bytes it is made of."""
        return printable(path.relative_to(self.root).as_posix())


def listed(root: Path) -> Listing:
    """All that is in a folder of images. Raises DataUnavailableError where it is none, and says what is missing."""
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        raise DataUnavailableError(f"dataset image_folder: {root}: {what}")
    folders = {printable(each.name): each for each in _visible(root) if each.is_dir()}
    _check_spelling(root, folders)
    tests = next((name for name in TESTS if name in folders), None)
    if TRAIN not in folders:
        if tests:
            raise DataUnavailableError(
                f"dataset image_folder: {root} has {tests}, but no {TRAIN}; rename a folder, or point root at the "
                "folder that holds the classes"
            )
        return _of({"": root}, root)
    splits = [TRAIN, tests] if tests else [TRAIN]
    found = _of({name: folders[name] for name in splits}, root)
    found.notes += [_left_out(name, root, tests) for name in folders if name not in splits]
    return found


def _check_spelling(root: Path, folders: Collection[str]) -> None:
    """Raise DataUnavailableError for folders that are splits but for their case: they would be left out, or classes."""
    splits = (TRAIN, *TESTS)
    meant = [name for name in folders if name.casefold() in splits]
    wrong = [name for name in meant if name not in splits]
    # Beside other classes, 'Train' may be a picture of one.
    if wrong and (len(wrong) < len(meant) or len(meant) == len(folders)):
        raise DataUnavailableError(
            f"dataset image_folder: {root} has a folder '{wrong[0]}'{did_you_mean(wrong[0], splits)} Rename it, or "
            "point root at the folder that holds the classes"
        )


def _left_out(name: str, root: Path, tests: str | None) -> str:
    """What to say of a folder that lies beside those of the splits."""
    if name in TESTS:
        return f"{root / name} is left out: the test images are those in '{tests}'"
    known = [TRAIN, *([tests] if tests else TESTS)]
    return (
        f"{root / name} is left out: it lies beside '{TRAIN}', and is neither that nor '{tests or TESTS[0]}'"
        f"{did_you_mean(name, known)}"
    )


def _of(folders: dict[str, Path], root: Path) -> Listing:
    """The first folder says which classes there are."""
    found = Listing(root, [], {})
    for split, folder in folders.items():
        names = {printable(each.name): each for each in _visible(folder) if each.is_dir()}
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
