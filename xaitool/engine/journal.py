"""The journal of a run: which stage it is in, how long each took, and how it ended (``run.json``)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import Display
from xaitool.errors import XaitoolError
from xaitool.plugins import catalog

log = logging.getLogger("xaitool")


class Journal:
    """Writes ``run.json`` whenever something changes, and tells the plugins that observe runs."""

    def __init__(self, folder: RunFolder, display: Display, name: str) -> None:
        self.folder = folder
        self.display = display
        self.state: dict[str, Any] = {
            "name": name,
            "state": "running",
            "stage": None,
            "started": _now(),
            "finished": None,
            "error": None,
            "stages": {},
        }

    @contextmanager
    def told(self) -> Iterator[None]:
        """Note how the run ends, whatever happens in here."""
        try:
            self._write()
            yield
        except KeyboardInterrupt:
            stage = self.state["stage"]
            self._end("interrupted", f"interrupted in stage {stage}")
            self.display.warn(f"interrupted in stage {stage}; what there is so far is in {self.folder}")
            raise
        except BaseException as error:
            log.exception("failed in stage %s", self.state["stage"])
            self._end("failed", str(error) if isinstance(error, XaitoolError) else repr(error))
            raise
        self._end("finished", None)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """One stage. What it puts into the record (JSON types) is kept, and shown to observers."""
        record: dict[str, Any] = {}
        self.state["stage"] = name
        self.state["stages"][name] = record
        self._write()
        log.info("stage %s", name)
        began = time.perf_counter()
        try:
            yield record
        finally:
            record["seconds"] = round(time.perf_counter() - began, 3)
        self._write()
        for plugin, error in catalog().observe(self.folder, name, record):
            log.error("observer %s failed in stage %s", plugin, name, exc_info=error)
            self.display.warn(f"observer {plugin} failed in stage {name}: {error}")

    def update(self) -> None:
        """Write down what the current stage's record says now."""
        self._write()

    def _end(self, state: str, error: str | None) -> None:
        self.state |= {"state": state, "error": error, "finished": _now()}
        if state == "finished":
            self.state["stage"] = None
        self._write()

    def _write(self) -> None:
        self.folder.write_json("run.json", self.state)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
