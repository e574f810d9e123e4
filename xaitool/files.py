"""Files that appear whole or not at all, and their names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xaitool.errors import FolderError


def write_whole(target: Path, data: bytes) -> None:
    """Write beside, sync, rename. Raises OSError, and then leaves nothing behind."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}-", dir=target.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        as_usual(beside, 0o666)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def held(folder: Path, lock: str) -> Iterator[None]:
    """Keep every other process out of a folder by a file in it; a killed one lets go of it. Raises FolderError."""
    from filelock import FileLock, Timeout

    holder = FileLock(folder / lock, timeout=0)
    try:
        holder.acquire()
    except Timeout as error:
        raise FolderError(f"another process is at work in {folder}; wait for it, or end it") from error
    except OSError as error:
        raise FolderError(f"cannot write in {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        holder.release()


def filename(text: str) -> str:
    """A class or method name as part of a file name; one that must be changed gets a digest, to stay unlike others."""
    safe = re.sub(r"[^\w.+-]+", "_", text).strip(".")[:80]
    return safe if safe and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def as_usual(path: Path, mode: int) -> None:
    """Give a temporary file or folder, which is its owner's alone, the mode that new ones have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
