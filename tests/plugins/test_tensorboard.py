"""The TensorBoard observer: a run's event file, read back."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import xaitool_tensorboard
from xaitool import Run, run

RECIPE = Path(__file__).parent.parent.parent / "recipes/quickstart.yaml"
SHORT = {
    "train.epochs": 2,
    "dataset.train": 96,
    "dataset.test": 32,
    "train.scheduler": {"use": "onecycle", "max_lr": 0.05},
    "explain.methods": ["gradcam"],
    "explain.judge.images": 0,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(RECIPE, set=SHORT, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def events(done: Run) -> EventAccumulator:
    found = EventAccumulator(str(done.folder / "tensorboard"), size_guidance={"images": 0, "tensors": 0})
    return found.Reload()


@pytest.mark.parametrize(
    ("curve", "figure"),
    [
        ("loss/train", "train_loss"),
        ("loss/test", "test_loss"),
        ("accuracy/train", "train_accuracy"),
        ("accuracy/test", "test_accuracy"),
        ("learning_rate", "lr"),
        ("images_per_second", "images_per_second"),
    ],
)
def test_its_curves_are_those_of_the_history(done: Run, events: EventAccumulator, curve: str, figure: str) -> None:
    points = events.Scalars(curve)
    assert [point.step for point in points] == [1, 2]
    np.testing.assert_allclose([point.value for point in points], [each[figure] for each in done.history], rtol=1e-6)


def test_it_holds_the_figures_of_the_stages(done: Run, events: EventAccumulator) -> None:
    assert events.Scalars("evaluate/accuracy")[0].value == pytest.approx(done.accuracy)
    assert events.Scalars("tune/max_lr")[0].value == pytest.approx(0.05)
    assert events.Scalars("explain/images")[0].value == done.journal["stages"]["explain"]["images"]


def test_it_holds_the_recipe_the_end_and_every_picture(done: Run, events: EventAccumulator) -> None:
    text = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    recipe = yaml.safe_load("\n".join(line[4:] for line in text.splitlines()))
    assert recipe["train"]["epochs"] == 2
    assert events.Tensors("state/text_summary")[0].tensor_proto.string_val[0] == b"finished"
    assert set(events.Tags()["images"]) == {path.stem for path in (done.folder / "figures").glob("*.png")}
    assert str(done.folder) not in xaitool_tensorboard._open


def test_without_tensorboard_a_run_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(xaitool_tensorboard, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    done = run(RECIPE, set={**SHORT, "train.epochs": 1, "explain.methods": []}, out=tmp_path)
    assert done.journal["state"] == "finished"
    assert not (done.folder / "tensorboard").exists()
    assert "observer" not in (done.folder / "run.log").read_text()
