"""SIGTERM, by which schedulers and systems end a program, ends a run as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The process has been told to end."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated in here where SIGTERM comes, instead of ending on the spot; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody set a handler
        yield
        return

    def end(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
