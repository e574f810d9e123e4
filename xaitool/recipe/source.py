"""A recipe as it was written: plain values, each with the place that it came from, and overrides put over them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xaitool.errors import Problem, RecipeError
from xaitool.recipe.document import MAX_DEPTH, Keys, Reading, dotted, kind_of
from xaitool.recipe.scalars import shortened

MAX_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """A recipe's plain values and where each of them was written. Nothing in it is meant to be changed.

    name: what the user calls the file. text: the file as it is, without any override. data: the values, overrides
    included. environment: what ``${VAR}`` stands for, in overrides too. places: of a key and of its value.
    folder: the file's own, from which relative paths in it start; None: the working folder. allow_code: whether the
    user lets it name Python code to be executed.
    """

    name: str
    text: str
    data: dict[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    places: Mapping[Keys, tuple[str, str]] = field(repr=False)
    folder: Path | None = None
    allow_code: bool = False

    def where(self, path: Sequence[str | int]) -> str:
        """``file:line:column`` of the key (or list item) at `path`, or the override that put it there.

        Where there is nothing at `path`, of the deepest of its ancestors that is there.
        """
        return self._nearest(path)[0]

    def where_value(self, path: Sequence[str | int]) -> str:
        """As `where`, but of the value."""
        return self._nearest(path)[1]

    def folder_at(self, path: Sequence[str | int]) -> Path:
        """Where a relative path that stands at `path` starts: the recipe's folder; for an override, the working folder.

        A path that is not written anywhere, because it is a default, starts from the recipe's folder.
        """
        if self.folder is None or not self.where_value(path).startswith(f"{self.name}:"):
            return Path.cwd()
        return self.folder

    def _nearest(self, path: Sequence[str | int]) -> tuple[str, str]:
        ancestors = (tuple(path[:end]) for end in range(len(path), -1, -1))
        return next(self.places[keys] for keys in ancestors if keys in self.places)


def read(path: Path, *, allow_code: bool = False) -> Source:
    """The recipe in a file, with ``${VAR}`` from this process's environment. Raises RecipeError.

    allow_code: whether it may name Python code to be executed.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise _refusal(name, f"cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise _refusal(name, f"larger than {MAX_BYTES} bytes; is this a recipe?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(f"{name}:{line}", f"not UTF-8: the byte 0x{content[error.start]:02x}") from error
    return replace(parse(text, name, os.environ), folder=path.absolute().parent, allow_code=allow_code)


def parse(text: str, name: str, environment: Mapping[str, str]) -> Source:
    """The recipe in a text. Raises RecipeError with every problem that it finds."""
    reading = Reading(lambda mark: f"{name}:{mark.line + 1}:{mark.column + 1}", environment)
    data = reading.document(text)
    if data is None:
        raise _refusal(name, "the recipe is empty")
    if not isinstance(data, dict):
        raise _refusal(reading.places[()][0], f"a recipe is a mapping of keys to values, and this is {kind_of(data)}")
    return Source(name, text, data, environment, reading.places)


def override(source: Source, assignments: Sequence[str]) -> Source:
    """`source` with the command line's ``--set key=value`` in place; the value is YAML. Raises RecipeError."""
    draft = _Draft(source)
    for assignment in assignments:
        draft.set(assignment)
    return draft.finished()


def override_values(source: Source, values: Mapping[str, Any]) -> Source:
    """`source` with ``{"train.epochs": 1}`` in place; the values are taken as they are. Raises RecipeError."""
    draft = _Draft(source)
    for key, value in values.items():
        draft.put(key, deepcopy(value), f'set["{key}"]')
    return draft.finished()


class _Draft:
    """A copy of a source that takes overrides, and keeps the problems with them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = deepcopy(source.data)
        self.places = dict(source.places)
        self.problems: list[Problem] = []

    def set(self, assignment: str) -> None:
        """Put what ``key=value`` says."""
        place = f"--set {assignment}"
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            self.problems.append(Problem(place, key, "there is no '='; write --set key=value"))
            return
        try:
            value = Reading(lambda _: place, self.source.environment).document(text, tuple(key.split(".")))
        except RecipeError as error:
            self.problems.extend(error.problems)
        else:
            self.put(key, value, place)

    def put(self, key: str, value: Any, place: str) -> None:
        try:
            changed = self._assign(key, value)
        except ValueError as error:
            self.problems.append(Problem(place, key, str(error)))
            return
        # What was written below belongs to a value that is gone.
        self.places = {keys: was for keys, was in self.places.items() if keys[: len(changed)] != changed}
        self.places[changed] = (place, place)

    def finished(self) -> Source:
        if self.problems:
            raise RecipeError(self.problems)
        return replace(self.source, data=self.data, places=self.places)

    def _assign(self, key: str, value: Any) -> Keys:
        """Put the value there, in new mappings where there are none; returns the path of the topmost new thing."""
        parts = key.split(".")
        if not all(parts):
            raise ValueError("an empty key; write key or outer.inner")
        if len(parts) > MAX_DEPTH:
            raise ValueError(f"a key of more than {MAX_DEPTH} parts")
        path: Keys = ()
        changed: Keys = ()
        target: Any = self.data
        for part in parts[:-1]:
            step = _step(target, part, path)
            path = (*path, step)
            if _child(target, step) is None:
                target[step] = {}
                changed = changed or path
            target = target[step]
        step = _step(target, parts[-1], path)
        target[step] = value
        return changed or (*path, step)


def _step(target: Any, part: str, path: Keys) -> str | int:
    """The key or index that `part` means in `target`, which stands at `path`."""
    if isinstance(target, dict):
        return part
    if not isinstance(target, list):
        raise ValueError(f"{dotted(path)} is {kind_of(target)} and has no keys")
    if not re.fullmatch("[0-9]{1,9}", part) or int(part) >= len(target):
        items = f"of {len(target)}, counted from 0" if target else "without items"
        raise ValueError(f"{dotted(path)} is a list {items}; it has no item '{shortened(part)}'")
    return int(part)


def _child(target: Any, step: Any) -> Any:
    return target.get(step) if isinstance(target, dict) else target[step]


def _refusal(where: str, message: str) -> RecipeError:
    return RecipeError([Problem(where, "", message)])
