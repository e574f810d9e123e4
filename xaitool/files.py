"""Files that appear whole or not at all, and their names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path


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


def filename(text: str) -> str:
    """A class or method name as part of a file name; one that must be changed gets a digest, to stay unlike others."""
    safe = re.sub(r"[^\w.+-]+", "_", text).strip(".")[:80]
    return safe if safe and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def as_usual(path: Path, mode: int) -> None:
    """Give a temporary file or folder, which is its owner's alone, the mode that new ones have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
