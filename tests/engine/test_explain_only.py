"""A recipe without training: the model is judged and explained as it comes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xaitool import Recipe, Run, run
from xaitool.errors import CheckpointError
from xaitool.report.compare import write_comparison

BARE = {
    "dataset.train": 60,
    "dataset.test": 30,
    "dataset.classes": ["circle", "star", "cross"],
    "explain.select": {"misclassified": 4, "correct": 2},
    "explain.methods": ["gradcam"],
    "explain.metrics": [],
    "explain.judge.images": 0,
    "explain.triage": False,
    "report.html": False,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    change = {"train.epochs": 1, "train.batch_size": 16, "train.scheduler": {"use": "onecycle", "max_lr": 0.05}}
    return run("quickstart", set={**BARE, **change}, out=tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def untrained(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same model and images, by the checkpoint that the training left."""
    change = {**BARE, "model.checkpoint": str(trained.folder)}
    return run("explain_only", set=change, out=tmp_path_factory.mktemp("untrained"))


def test_it_says_and_shows_what_the_run_that_trained_does(trained: Run, untrained: Run) -> None:
    assert untrained.journal["state"] == "finished"
    assert untrained.predictions == trained.predictions
    assert (untrained.maps("gradcam") == trained.maps("gradcam")).all()


def test_its_folder_is_enough_for_all_that_follows(trained: Run, untrained: Run) -> None:
    here, there = (load_file(each.folder / "model.safetensors") for each in (untrained, trained))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    again = Run(untrained.folder)
    assert (again.trained, again.history, again.lrs) == (False, [], [])
    assert not (untrained.folder / "history.jsonl").exists()
    assert "tune" not in again.journal["stages"]
    page = again.write_report().read_text()
    assert f"It was not trained in this run; its weights are from {trained.folder}" in page
    assert "Learning rate at each step" not in page


def test_its_lock_runs_as_it_stands(untrained: Run) -> None:
    locked = Recipe.load(untrained.folder / "recipe.lock.yaml")
    assert locked.settings.train is None
    assert locked.scheduler is None


def test_it_is_compared_with_a_run_that_trained(trained: Run, untrained: Run, tmp_path: Path) -> None:
    page = write_comparison(trained, untrained, tmp_path / "comparison.html").read_text()
    assert "B was not trained in the run." in page


def test_random_weights_are_told(tmp_path: Path) -> None:
    done = run("explain_only", set={**BARE, "model.checkpoint": None}, out=tmp_path)
    assert "what follows is about random weights" in (done.folder / "run.log").read_text()


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none\.pt"):
        run("explain_only", set={**BARE, "model.checkpoint": str(tmp_path / "none.pt")}, out=tmp_path)
