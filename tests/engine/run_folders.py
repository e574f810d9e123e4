"""Folders of runs against each other, byte by byte; and how a process comes to leave one behind."""

from __future__ import annotations

import json
import os
import signal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from xaitool.engine.trainer import Trainer

# What tells of times, of the machine, or of the commands that a run took.
_OF_ITS_OWN = ("run.json", "run.log", "environment.json")
_TIMES = ("seconds", "images_per_second")


def only_folder(out: Path) -> Path:
    """Of the only run that is there."""
    (folder,) = out.glob("*/*")
    return folder


def contents(folder: Path, *of_its_own: str) -> dict[str, Any]:
    """Every file of a run but TensorBoard's. of_its_own: patterns of further files of which only the name counts."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    kept = [name for name in names if not name.startswith("tensorboard/")]
    return {name: _content(folder / name, name, (*_OF_ITS_OWN, *of_its_own)) for name in kept}


def _content(path: Path, name: str, of_its_own: tuple[str, ...]) -> Any:
    if any(fnmatch(name, pattern) for pattern in of_its_own):
        return None
    if name == "history.jsonl":
        epochs = [json.loads(line) for line in path.read_text().splitlines()]
        return [{key: figure for key, figure in epoch.items() if key not in _TIMES} for epoch in epochs]
    return path.read_bytes()


def assert_same(folder: Path, expected: Path, *of_its_own: str) -> None:
    """The same files with the same content; says which are not."""
    found, wanted = contents(folder, *of_its_own), contents(expected, *of_its_own)
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def kill_in_step(step: int, rank: int = 0) -> None:
    """Let this process, where it is of this rank, end without a word in a step of its training."""
    real = Trainer.step

    def killed(self: Trainer, *arguments: Any) -> Any:
        if len(self.fitted.lrs) == step and self.processes.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments)

    pytest.MonkeyPatch().setattr(Trainer, "step", killed)
