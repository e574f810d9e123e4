"""Memory that one step frees and the next one asks for again: the C library is to keep it meanwhile."""

from __future__ import annotations

import ctypes
import os
import platform

# glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_AT_THE_END, _LARGE = 2**31 - 1, 32 * 2**20  # bytes: a C int at most, and the most that glibc takes


def keep_memory() -> bool:
    """Let glibc keep freed memory at the end of its heap, up to 2 GB, rather than give it back; tell whether it does.

    A step of a training on the CPU allocates its activations anew. Where they come from the system each time, it has to
    find and clear pages for them. Blocks of more than 32 MB still do. It cannot be undone, and is not for processes of
    others. Where the environment says how memory is to be allocated, that holds.
    """
    said = any(name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD") for name in os.environ)
    if said or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_TRIM_THRESHOLD, _AT_THE_END)) and bool(mallopt(_MMAP_THRESHOLD, _LARGE))
