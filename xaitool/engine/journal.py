"""The journal of a run: which stage it is in, how long each took, and how it ended (``run.json``)."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import Display
from xaitool.engine.randomness import kept
from xaitool.errors import XaitoolError
from xaitool.plugins import catalog
from xaitool.report.write import write_report
from xaitool.results import Run
from xaitool.summary import Summary

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
    def told(self, recipe: Mapping[str, Any]) -> Iterator[None]:
        """Note how the run ends, whatever happens in here. recipe: the resolved one, for observers."""
        try:
            self._write()
            self._observe("xaitool_run_started", recipe=recipe)
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
        self._observe("xaitool_stage_finished", stage=name, record=record)

    def over(self) -> None:
        """All stages are done; what is still to be said is about the whole run."""
        self.state["stage"] = None

    def epoch(self, record: Mapping[str, Any]) -> None:
        """One epoch of the current stage has finished: write down what the stage's record says now."""
        self._write()
        self._observe("xaitool_epoch_finished", record=record)

    def _end(self, state: str, error: str | None) -> None:
        self.state |= {"state": state, "error": error, "finished": _now()}
        if state == "finished":
            self.state["stage"] = None
        self._write()
        if state == "failed":
            self._report()
        self._observe("xaitool_run_finished", state=state, error=error)
        self.display.summary(Summary.of(Run(self.folder.path)))

    def _report(self) -> None:
        """A run that failed leaves a report too: what it came to, and at its head what went wrong."""
        run = Run(self.folder.path)
        if not run.did("data"):
            return
        try:
            write_report(run, html=run.settings["report"]["html"])
        except Exception as error:
            # What went wrong in the run is to be told, and not what goes wrong in telling it.
            log.exception("no report of the failed run")
            self.display.warn(f"no report could be written: {error}")

    def _observe(self, hook: str, **arguments: Any) -> None:
        with kept():  # whatever an observer draws at random or writes into a record, the run stays the same
            for plugin, error in catalog().observe(hook, run=self.folder, **copy.deepcopy(arguments)):
                log.error("observer %s failed in %s", plugin, hook, exc_info=error)
                self.display.warn(f"observer {plugin} failed in {hook}: {error}")

    def _write(self) -> None:
        self.folder.write_json("run.json", self.state)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
