"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
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


def as_usual(path: Path, mode: int) -> None:
    """Give a temporary file or folder, which is its owner's alone, the mode that new ones have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
