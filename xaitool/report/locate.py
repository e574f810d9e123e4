"""Finding the run that a path means, and whether it can be compared with another."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from xaitool.errors import FolderError
from xaitool.results import Run

# What became of a run, in words.
STATES = {
    "running": "is running",
    "finished": "is finished",
    "failed": "has failed",
    "interrupted": "was interrupted",
}


def locate(path: Path) -> Run:
    """The run in a folder, or the newest finished one among those below it (``runs`` or ``runs/NAME``).

    Raises FolderError where there is none.
    """
    path = path.expanduser()
    if not path.is_dir():
        raise FolderError(f"{path} is {'not a folder' if path.exists() else 'not there'}; a run's folder is needed")
    if (path / "run.json").is_file():
        return _opened(path)
    below = [_opened(each.parent) for pattern in ("*/run.json", "*/*/run.json") for each in path.glob(pattern)]
    if not below:
        raise FolderError(f"{path} is not a run's folder, and holds none: there is no run.json in it")
    finished = [run for run in below if run.complete]
    if not finished:
        none = f"none of the {len(below)} runs in {path} is" if len(below) > 1 else f"the one run in {path} is not"
        raise FolderError(f"{none} finished; name the run's own folder to take one")
    return max(finished, key=_began)


def tested(run: Run) -> Run:
    """The same run. Raises FolderError where it has no test results."""
    missing = [name for name in ("metrics.json", "predictions.csv") if not (run.folder / name).is_file()]
    if missing or not run.tested:
        state, stage = run.journal["state"], run.journal.get("stage")
        got = f"{STATES[state]} in stage {stage}" if stage else STATES[state]
        lacks = f" ({' and '.join(missing)})" if missing else ""
        raise FolderError(f"{run.folder} has no test results{lacks}: the run {got}")
    return run


def _opened(folder: Path) -> Run:
    run = Run(folder)
    journal = run.journal
    if not {"name", "state", "stage", "error", "started", "stages", "done"} <= journal.keys():
        raise FolderError(f"{folder / 'run.json'} was not written by a run of xaitool")
    return run


def _began(run: Run) -> tuple[datetime, str]:
    """Two runs may begin in the same second: then their folders' names tell."""
    return datetime.fromisoformat(run.journal["started"]), run.folder.name
