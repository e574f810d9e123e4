"""Memory that one step frees and the next one asks for again: the C library is to keep it meanwhile."""

from __future__ import annotations

import ctypes
import os
import platform

# glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_MOST = 2**31 - 1  # a C int; bytes, about 2 GB


def keep_memory() -> bool:
    """Let glibc keep what is freed rather than give it back to the system; tell whether it does.

    A step of a training on the CPU allocates its activations anew. Where they come from the system each time, which
    has to find and clear pages for them, that takes up to a sixth of the step; where glibc gives memory back by itself
    follows from what happens to lie above it. It cannot be undone, and is not for processes of others. Where the
    environment says how memory is to be allocated, that holds.
    """
    said = any(name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD") for name in os.environ)
    if said or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_TRIM_THRESHOLD, _MOST)) and bool(mallopt(_MMAP_MAX, 0))
