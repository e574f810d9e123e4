"""Archives that are unpacked by libraries: what is in them stays in the folder it is unpacked to."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_inside() -> Iterator[None]:
    """Let tarfile refuse members that lead out of the folder, as links, devices and absolute paths may.

    Older versions of Python unpack them unless told otherwise, and the libraries that unpack data sets do not tell
    them. zipfile never leaves its folder. Raises tarfile.FilterError where there is such a member.
    """
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        if before is None:
            del tarfile.TarFile.extraction_filter
        else:
            tarfile.TarFile.extraction_filter = before
