"""Files that appear whole or not at all, their names, and what is in those of others."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xaitool.errors import FolderError

# Bytes of one name in a file's name: two of them, a number and two digests stay below the 255 that file systems take.
_LONGEST = 80


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


def write_within(folder: Path, name: str, data: bytes) -> Path:
    """Write ``folder/name`` as :func:`write_told` does. Raises FolderError also where a link leads elsewhere: a folder
    may be a stranger's.
    """
    target = folder / name
    if leads_out(target.parent, folder):
        raise FolderError(f"cannot write {target}: {target.parent} is a link that leads out of {folder}")
    return write_told(target, data)


def write_told(target: Path, data: bytes) -> Path:
    """Write a file whole; the folders on the way to it are made. Raises FolderError where it cannot be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)
    except OSError as error:
        raise FolderError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path in a folder is elsewhere in truth, by a link, or nowhere."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that lead to each other
        return True


def parsed(text: str | bytes) -> Any:
    """JSON that anybody may have written. Raises ValueError where it is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@contextmanager
def held(folder: Path, lock: str) -> Iterator[None]:
    """Keep every other process out of a folder by a file in it, which then goes; a killed one lets go of it, and leaves
    the file. Raises FolderError.
    """
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
        with suppress(OSError):  # where it cannot be, it is no harm
            (folder / lock).unlink(missing_ok=True)  # still held: who has waited for this file takes another
        holder.release()


def filename(text: str) -> str:
    """A class or method name as part of a file name; one that must be changed gets a digest, to stay unlike others."""
    safe = re.sub(r"[^\w.+-]+", "_", text).strip(".").encode()[:_LONGEST].decode(errors="ignore")
    return safe if safe and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def as_usual(path: Path, mode: int) -> None:
    """Give a temporary file or folder, which is its owner's alone, the mode that new ones have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
