"""A first look through all images of a data set: which can be read, their sizes and digests; kept in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import PIL

from xaitool.data.cache import cached_folder
from xaitool.data.pictures import Size
from xaitool.errors import ImageError

# Of what is kept; another one where images are decoded differently.
_VERSION = 1
_AT_A_TIME = 1024  # so that a million images are not a million tasks at once

_log = logging.getLogger("xaitool.data")


@dataclass(frozen=True)
class Look:
    """What was seen of one image. digest: of its pixels and size; reason: why there are none, else empty."""

    digest: str
    size: Size
    reason: str = ""


def look_through(key: str, count: int, fetch: Callable[[int], Any]) -> list[Look]:
    """What is to be seen of `count` images; ``fetch(i)`` gives one as H×W×3 uint8, or raises ImageError.

    key: says which images these are, in which state; under it the outcome is kept. What could not be read then is tried
    again, as it may have been for want of a permission.
    """
    name = hashlib.sha256(f"{_VERSION} {PIL.__version__} {key}".encode()).hexdigest()[:32]
    folder = cached_folder(f"looks-{name}", lambda to: _keep(to, _looks(fetch, range(count))))
    looks = [
        Look(each["digest"], tuple(each["size"]), each["reason"]) for each in json.loads(_file(folder).read_text())
    ]
    failed = [index for index, look in enumerate(looks) if look.reason]
    for index, look in zip(failed, _looks(fetch, failed), strict=True):
        looks[index] = look
    return looks


def listing(root: Path, paths: Iterable[Path]) -> str:
    """A digest of files' names, sizes and times: another one means to look again."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in paths:
        status = path.stat()
        digest.update(os.fsencode(path.relative_to(root)))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _looks(fetch: Callable[[int], Any], indices: Sequence[int]) -> list[Look]:
    def look(index: int) -> Look:
        try:
            pixels = fetch(index)
        except ImageError as error:
            return Look("", (0, 0), error.reason)
        digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
        return Look(digest.hexdigest(), (int(pixels.shape[0]), int(pixels.shape[1])))

    if len(indices) > _AT_A_TIME:
        _log.info("looking through %s images, once", f"{len(indices):,}")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoders work outside of Python's lock
        return [seen for some in _batched(indices) for seen in pool.map(look, some)]


def _batched(indices: Sequence[int]) -> Iterable[Sequence[int]]:
    return (indices[start : start + _AT_A_TIME] for start in range(0, len(indices), _AT_A_TIME))


def _keep(folder: Path, looks: Sequence[Look]) -> None:
    _file(folder).write_text(json.dumps([asdict(look) for look in looks]))


def _file(folder: Path) -> Path:
    return folder / "looks.json"
