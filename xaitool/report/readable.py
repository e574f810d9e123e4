"""What is wrong with a folder that another version, or another program, has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xaitool.errors import FolderError, XaitoolError

if TYPE_CHECKING:
    from xaitool.results import Run


@contextmanager
def readable(*runs: Run) -> Iterator[None]:
    """Make a FolderError of what goes wrong in here because a folder's files do not hold what they should.

    A file that is missing, or no JSON, table or array at all, is named by :class:`xaitool.Run`. What is left is a value
    that is not there, or that is of another kind than is written by this version.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        where = " or ".join(str(run.folder) for run in runs)
        what = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise FolderError(
            f"{where} was made by another version of xaitool, or changed, or is being written: {what}"
        ) from error
    except XaitoolError as error:
        if isinstance(error, FolderError):
            raise
        raise FolderError(f"{' or '.join(str(run.folder) for run in runs)} cannot be read: {error}") from error
