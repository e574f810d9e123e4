"""Where decoded data are kept between runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from xaitool.files import as_usual


def cache_root() -> Path:
    """``$XAITOOL_CACHE``, else ``xaitool`` in the user's cache folder."""
    named = os.environ.get("XAITOOL_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "xaitool"


def cached_folder(key: str, fill: Callable[[Path], None]) -> Path:
    """The cache's folder `key`; made by `fill(folder)` where it is not there yet.

    It appears whole or not at all: it is filled beside its place and renamed, and of two processes that fill it at the
    same time the first wins.
    """
    place = cache_root() / key
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        fill(beside)
        as_usual(beside, 0o777)  # a cache may be shared
        try:
            beside.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place
