"""Checkpoints: what an interrupted run goes on from. Each is whole or it is not there; what is damaged is noticed."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from xaitool.engine.folder import RunFolder
from xaitool.errors import FolderError
from xaitool.files import parsed

# Of the files below; one of another format is as good as damaged.
FORMAT = 1
PLACE = "checkpoints"
# The newest, and the one before in case that is damaged.
_GENERATIONS = 2
# The manifest first: without it the others are no checkpoint.
_KINDS = ("json", "pt", "safetensors")


@dataclass(frozen=True)
class Saved:
    """Something kept. tensors: weights, on the CPU, by name. rest: what ``torch.load(weights_only=True)`` reads."""

    tensors: dict[str, Tensor]
    rest: dict[str, Any]


def keep(folder: RunFolder, name: str, saved: Saved) -> None:
    """Write ``checkpoints/<name>.safetensors``, ``.pt`` and last, with the sha256 of both, ``.json``."""
    stem = f"{PLACE}/{name}"
    folder.remove(f"{stem}.json")  # it would vouch for files that are being replaced
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    plain = {key: value.detach().cpu().contiguous().clone() for key, value in saved.tensors.items()}
    buffer = io.BytesIO()
    torch.save(saved.rest, buffer)
    contents = {f"{name}.safetensors": save(plain), f"{name}.pt": buffer.getvalue()}
    for file, content in contents.items():
        folder.write_bytes(f"{PLACE}/{file}", content)
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    folder.write_json(f"{stem}.json", {"format": FORMAT, "sha256": sums})


def kept(folder: RunFolder, name: str) -> Saved:
    """Read back what :func:`keep` wrote. Raises FolderError where it is missing or damaged."""
    place = folder.path / PLACE
    manifest = _manifest(place / f"{name}.json")
    weights, rest = (_verified(place / file, manifest) for file in (f"{name}.safetensors", f"{name}.pt"))
    return Saved(load(weights), torch.load(io.BytesIO(rest), weights_only=True, map_location="cpu"))


def sha256(path: Path) -> str:
    """Of a file's content. Raises FolderError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error


class Checkpoints:
    """The checkpoints of a training, ``checkpoints/fit-<step>``: the two newest.

    minutes: how old the newest may get before the next is due; None: one is never due. warn: told of what is damaged.
    """

    def __init__(self, folder: RunFolder, minutes: float | None, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self.seconds = None if minutes is None else 60 * minutes
        self.warn = warn
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for another one, in the middle of an epoch or not."""
        return self.seconds is not None and time.monotonic() - self.last >= self.seconds

    def save(self, step: int, saved: Saved) -> None:
        """Keep the state after so many steps, and of the older ones the newest. Raises FolderError.

        Those of later steps go too: they were found damaged, or the training would have gone on from them.
        """
        keep(self.folder, f"fit-{step:08d}", saved)
        names = self._names()
        kept = [name for name in names if _step(name) <= step][-_GENERATIONS:]
        self.folder.remove(*(f"{PLACE}/{name}.{kind}" for name in names if name not in kept for kind in _KINDS))
        self.last = time.monotonic()

    def newest(self) -> Saved | None:
        """The newest that is whole; None where there is none."""
        for name in reversed(self._names()):
            try:
                return kept(self.folder, name)
            except FolderError as error:
                self.warn(f"{error}; going on from the checkpoint before it, or, without one, from the beginning")
        return None

    def clear(self) -> None:
        """Away with all of them."""
        self.folder.remove(f"{PLACE}/fit-*")  # also those of a checkpoint that was not finished

    def _names(self) -> list[str]:
        """Oldest first."""
        return sorted((path.stem for path in (self.folder.path / PLACE).glob("fit-*.json")), key=_step)


def _step(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _manifest(path: Path) -> Mapping[str, str]:
    """File name -> sha256."""
    try:
        found = parsed(path.read_bytes())
        if found["format"] != FORMAT:
            raise FolderError(f"{path} is of another version of xaitool")
        return {str(file): str(digest) for file, digest in found["sha256"].items()}
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(f"{path} is damaged: {error}") from error


def _verified(path: Path, manifest: Mapping[str, str]) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != manifest.get(path.name):
        raise FolderError(f"{path} is damaged: its sha256 is not the one it was written with")
    return content
