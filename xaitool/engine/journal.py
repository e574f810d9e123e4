"""The journal of a run: which stage it is in, how long each took, and how it ended (``run.json``)."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import Display
from xaitool.engine.randomness import kept
from xaitool.errors import FolderError, ProcessError, VerdictError, XaitoolError
from xaitool.plugins import catalog
from xaitool.report.write import write_report
from xaitool.results import FORMAT, Run
from xaitool.summary import Summary

log = logging.getLogger("xaitool")

# What other settings do not help against.
_OUTSIDE = (FolderError, ProcessError)


class Journal:
    """Writes ``run.json`` whenever something changes, and tells the plugins that observe runs.

    before: the journal of the run that is gone on with, and the stages of it that need not be done again.
    """

    def __init__(
        self,
        folder: RunFolder,
        display: Display,
        name: str,
        before: Mapping[str, Any] | None = None,
        finished: Collection[str] = (),
    ) -> None:
        self.folder = folder
        self.display = display
        self.state: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "state": "running",
            "stage": None,
            "started": before["started"] if before else _now(),
            "resumed": [*before["resumed"], _now()] if before else [],
            "finished": None,
            "error": None,
            "done": list(finished),
            "stages": _of_earlier(before, finished) if before else {},
        }
        # Of the data that the run was begun with, where they are to be the same.
        data = before["stages"]["data"] if before and "data" in finished else {}
        self.fingerprint: str | None = data.get("fingerprint")
        # Of the stage that is going on: when it began, less the time that it has taken in earlier attempts.
        self._began = 0.0

    @contextmanager
    def told(self, recipe: Mapping[str, Any], allow_code: bool = False) -> Iterator[None]:
        """Note how the run ends, whatever happens in here, and how to go on.

        recipe: the resolved one, for observers. allow_code: whether it was allowed to name Python code.
        """
        go_on = f"to go on from there: {self.folder.resume_command()}{' --allow-code' * allow_code}"
        try:
            self._write()
            self._observe("xaitool_run_started", recipe=recipe)
            yield
        except KeyboardInterrupt as error:
            stage = self.state["stage"]
            self._end_in_spite("interrupted", f"interrupted in stage {stage}")
            self.display.warn(f"interrupted in stage {stage}; what there is so far is in {self.folder}")
            error.add_note(go_on)
            raise
        except BaseException as error:
            log.exception("failed in stage %s", self.state["stage"])
            self._end_in_spite("failed", str(error) if isinstance(error, XaitoolError) else repr(error))
            # Not where all is done, and the verdicts would be the same, nor where there is no run to go on with.
            if not isinstance(error, VerdictError) and self._is_there:
                error.add_note(go_on)
                if isinstance(error, XaitoolError) and not isinstance(error, _OUTSIDE):
                    error.add_note("with another setting: add --set KEY=VALUE --force")
            raise
        self._end("finished", None)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """One stage. What it puts into the record (JSON types) is kept, and shown to observers.

        A stage in which something ``failed`` is not done: it is tried again where the run is gone on with.
        """
        earlier = self.state["stages"].get(name, {}).get("seconds", 0.0)
        record: dict[str, Any] = {}
        self.state["stage"] = name
        self.state["stages"][name] = record
        self._write()
        log.info("stage %s", name)
        self._began = time.perf_counter() - earlier
        try:
            yield record
        finally:
            record["seconds"] = self._seconds()
        if not record.get("failed") and name not in self.state["done"]:
            self.state["done"].append(name)
        self._write()
        self._observe("xaitool_stage_finished", stage=name, record=record)

    def over(self) -> None:
        """All stages are done; what is still to be said is about the whole run."""
        self.state["stage"] = None

    def epoch(self, record: Mapping[str, Any]) -> None:
        """One epoch of the current stage has finished: write down what the stage's record says now."""
        self.state["stages"][self.state["stage"]]["seconds"] = self._seconds()
        self._write()
        self._observe("xaitool_epoch_finished", record=record)

    def _end_in_spite(self, state: str, error: str) -> None:
        """End a run that has not finished, in spite of being told to end: torchrun tells so when a process has died."""
        try:
            self._end(state, error)
        except KeyboardInterrupt:
            with suppress(FolderError):
                self._write()  # it may have come before that was done

    def _end(self, state: str, error: str | None) -> None:
        self.state |= {"state": state, "error": error, "finished": _now()}
        if state == "finished":
            self.state["stage"] = None
        try:
            self._write()
        except FolderError as unwritten:
            if state == "finished":
                raise
            self.display.warn(str(unwritten))  # what has gone wrong before is the error that counts
        if state == "failed" and self._is_there:
            with suppress(KeyboardInterrupt):  # observers are told all the same
                self._report()
        self._observe("xaitool_run_finished", state=state, error=error)
        if self._is_there:
            self.display.summary(Summary.of(Run(self.folder.path)))

    def _report(self) -> None:
        """A run that failed leaves a report too: what it came to, and at its head what went wrong."""
        run = Run(self.folder.path)
        if not run.did("data"):
            return
        # Where all stages are done the figures are there already, and the page alone is to say how it ended.
        page = self.folder.path / "report.html" if run.complete else None
        try:
            html = run.settings["report"]["html"]
            if (html or not page) and (written := write_report(run, html, page=page)):
                self.display.line(f"report: {written}")
        except Exception as error:
            # What went wrong in the run is to be told, and not what goes wrong in telling it.
            log.exception("no report of the failed run")
            self.display.warn(f"no report could be written: {error}")

    def _observe(self, hook: str, **arguments: Any) -> None:
        with kept():  # whatever an observer draws at random or writes into a record, the run stays the same
            for plugin, error in catalog().observe(hook, run=self.folder, **copy.deepcopy(arguments)):
                log.error("observer %s failed in %s", plugin, hook, exc_info=error)
                self.display.warn(f"observer {plugin} failed in {hook}: {error}")

    @property
    def _is_there(self) -> bool:
        """Whether it was ever written; the disk may have been full before."""
        return (self.folder.path / "run.json").is_file()

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._began, 3)

    def _write(self) -> None:
        self.folder.write_json("run.json", self.state)


class OthersJournal(Journal):
    """The journal as the processes have it that are not the main one: it knows all, and writes and tells nothing."""

    def _write(self) -> None:
        pass

    def _observe(self, hook: str, **arguments: Any) -> None:
        pass

    def _end(self, state: str, error: str | None) -> None:
        pass


def _of_earlier(before: Mapping[str, Any], finished: Collection[str]) -> dict[str, Any]:
    """The records of finished stages, and of the others how long they have taken so far, as far as it is of use."""
    records, begun = {}, before["stages"]
    for name, record in begun.items():
        if name in finished:
            records[name] = record
        elif "seconds" in record:
            records[name] = {"seconds": record["seconds"]}
            break
    return records


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
