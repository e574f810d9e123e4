"""A disk that is full, at whichever file of a run: an error that says so, and a run that goes on when there is room."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from run_folders import assert_same, only_folder

from xaitool import Recipe, resume, run
from xaitool.errors import FolderError

RECIPE = """
recipe: 1
name: full
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 96, test: 60, classes: [circle, cross, star], augment: [HorizontalFlip]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train:
  epochs: 2
  batch_size: 32
  scheduler: {use: onecycle, max_lr: 0.05}
explain:
  select: {misclassified: 4}
  targets: [predicted]
  methods: [{use: gradcam, layers: auto}]
  metrics: [{use: abpc, steps: 8}]
  judge: {images: 20}
"""
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="wants Linux's /dev/full")

# In the order in which they are written.
FILES = [
    "environment.json",
    "lr_finder.json",
    "history.jsonl",
    "checkpoints/fit-00000003.safetensors",
    "checkpoints/fit-00000003.json",
    "checkpoints/fit-00000006.pt",
    "model.safetensors",
    "predictions.csv",
    "checkpoints/evaluation.safetensors",
    "checkpoints/choices.json",
    "explanations/gradcam/predicted.npy",
    "verdicts.json",
    "judged/gradcam.npy",
    "triage.json",
    "figures/samples_by_class.png",
    "figures/training_curves.png",
    "report.html",
]


def full_from(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """From this file of a run on, every write meets the error of a full disk, the system's own."""
    real, full = tempfile.mkstemp, []

    def made(*arguments: Any, **named: Any) -> tuple[int, str]:
        handle, name = real(*arguments, **named)
        path = Path(name)
        full.extend([1] if f"{path.parent.name}/{path.name}".startswith(_beside(path.parent, file)) else [])
        if full:
            os.close(handle)
            handle = os.open("/dev/full", os.O_WRONLY)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", made)


def _beside(parent: Path, file: str) -> str:
    """How the path of what is written beside a file begins."""
    place, _, name = file.rpartition("/")
    return f"{place.rpartition('/')[2] or parent.name}/.{name}-"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.parse(RECIPE)


def test_a_disk_that_is_full_again_and_again_costs_nothing_but_time(recipe: Recipe, out: Path) -> None:
    whole = run(recipe, out=out / "whole").folder
    out = out / "full"
    for number, file in enumerate(FILES):
        with pytest.MonkeyPatch.context() as monkeypatch:
            full_from(monkeypatch, file)
            with pytest.raises(FolderError, match=rf"(?m)^cannot write \S*{file}: No space left on device$") as caught:
                resume(only_folder(out)) if number else run(recipe, out=out)
        folder = only_folder(out)
        assert caught.value.exit_status == 2
        assert caught.value.__notes__ == [f"to go on from there: xaitool run --resume {folder}"]
        assert json.loads((folder / "run.json").read_text())["state"] == "running"  # nothing could be written any more
        assert list(folder.rglob(".*-????????")) == []
        assert not (folder / file).exists()
    done = resume(folder)
    assert done.journal["state"] == "finished"
    assert len(done.journal["resumed"]) == len(FILES)
    assert_same(folder, whole, "report.html", "figures/*")


@pytest.mark.parametrize("file", ["recipe.yaml", "recipe.lock.yaml", "run.json"])
def test_a_run_that_could_not_even_be_begun_is_none_to_go_on_with(
    recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    full_from(monkeypatch, file)
    with pytest.raises(FolderError, match=rf"(?m)^cannot write \S*/{file}: No space left on device$") as caught:
        run(recipe, out=out)
    assert not getattr(caught.value, "__notes__", [])


def test_a_log_that_is_full_ends_no_run(recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_from(monkeypatch, "lr_finder.json")
    with pytest.raises(FolderError):
        run(recipe, out=out)
    monkeypatch.undo()
    log = only_folder(out) / "run.log"
    log.unlink()
    log.symlink_to("/dev/full")
    assert resume(only_folder(out), set={"explain.methods": []}, force=True).journal["state"] == "finished"
