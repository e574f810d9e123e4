"""A whole run: what it leaves, that it repeats itself, and how it ends when it does not go well."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import xaitool
import xaitool_tensorboard
from xaitool import Recipe, Run, run
from xaitool.engine.data import load_data
from xaitool.engine.journal import Journal
from xaitool.engine.progress import Silent
from xaitool.engine.trainer import Trainer
from xaitool.errors import (
    CheckpointError,
    DataUnavailableError,
    DeviceError,
    ExplainError,
    PluginError,
    RecipeError,
    TrainingError,
    TuningError,
    XaitoolError,
)

FILES = [
    "recipe.yaml",
    "recipe.lock.yaml",
    "environment.json",
    "run.json",
    "run.log",
    "lr_finder.json",
    "history.jsonl",
    "metrics.json",
    "predictions.csv",
    "model.safetensors",
    "explanations/images.csv",
    "explanations/gradcam/predicted.npy",
    "explanations/gradcam++/true.npy",
    "explanations/gradcam-layer1/runner_up.npy",
    "explanations/gradcam/star.npy",
    "verdicts.json",
    "triage.csv",
    "triage.json",
    "report.html",
]
FIGURES = [
    "random_samples",
    "samples_by_class",
    "channels",
    "lr_finder",
    "lr_schedule",
    "training_curves",
    "confusion_matrix",
    "misclassified",
    "gradcam_misclassified",
    "gradcam_correct",
    "gradcam++_misclassified",
    "gradcam-layer1_correct",
]

# Judging is most of what a tiny run takes.
UNJUDGED = {"train.epochs": 1, "explain.metrics": []}


def only_folder(out: Path) -> Path:
    (folder,) = (path for path in out.glob("*/*") if path.is_dir())
    return folder


def journal(out: Path) -> dict[str, Any]:
    return json.loads((only_folder(out) / "run.json").read_text())


def test_the_folder_holds_all_that_happened(finished: Run) -> None:
    assert [name for name in FILES if not (finished.folder / name).is_file()] == []
    assert [name for name in FIGURES if not (finished.folder / "figures" / f"{name}.png").is_file()] == []
    assert [path for path in finished.folder.rglob(".*") if path.is_file()] == []  # no half-written file left
    assert finished.journal["state"] == "finished"
    stages = ["data", "model", "tune", "fit", "evaluate", "choose", "explain", "judge", "curves", "triage", "report"]
    assert list(finished.journal["stages"]) == stages


def test_figures_agree_with_each_other(finished: Run) -> None:
    right = sum(row["true"] == row["predicted"] for row in finished.predictions)
    assert len(finished.predictions) == 120
    assert finished.accuracy == right / 120 == finished.history[-1]["test_accuracy"]
    assert (
        finished.metrics["misclassified"]
        == 120 - right
        == np.sum(finished.metrics["confusion"]) - np.trace(finished.metrics["confusion"])
    )
    assert len({row["id"] for row in finished.predictions}) == 120


def test_explained_images_are_those_asked_for(finished: Run) -> None:
    correct = [row["true"] == row["predicted"] for row in finished.explained]
    wrong = min(6, finished.metrics["misclassified"])
    assert wrong > 0
    assert correct == [False] * wrong + [True] * 4
    known = {row["id"]: row for row in finished.predictions}
    assert all(known[row["id"]] == row for row in finished.explained)


def test_the_saved_weights_are_those_that_were_evaluated(finished: Run, tiny: Recipe) -> None:
    data = load_data(tiny.dataset, tiny.settings.seed)
    assert finished.model is not None
    module = finished.model.module
    module.load_state_dict(finished.weights())
    evaluation = xaitool.evaluate(module, torch.utils.data.DataLoader(data.test, batch_size=7))
    assert [data.classes[label] for label in evaluation.predicted] == [r["predicted"] for r in finished.predictions]
    assert evaluation.accuracy == finished.accuracy


@pytest.mark.parametrize(
    ("label", "method", "layer"),
    [
        ("gradcam", GradCAM, "layer4"),
        ("gradcam++", GradCAMPlusPlus, "layer4"),
        ("gradcam-layer1", GradCAM, "layer1"),
    ],
)
@pytest.mark.parametrize("target", ["predicted", "true", "runner_up", "star"])
def test_maps_are_those_of_pytorch_grad_cam(
    finished: Run, tiny: Recipe, label: str, method: Any, layer: str, target: str
) -> None:
    data = load_data(tiny.dataset, tiny.settings.seed)
    rows = [list(data.test_ids).index(row["id"]) for row in finished.explained]
    images = torch.stack([data.test[row][0] for row in rows])
    names = [row[target] if target != "star" else "star" for row in finished.explained]
    targets = [ClassifierOutputTarget(data.classes.index(name)) for name in names]
    assert finished.model is not None
    module = finished.model.module
    reference = method(model=module, target_layers=[module.get_submodule(layer)])(input_tensor=images, targets=targets)
    assert np.abs(finished.maps(label, target) - reference).max() <= 1e-5
    assert reference.max() > 0.5


def test_the_same_seed_gives_the_same_run(finished: Run, tiny: Recipe, out: Path) -> None:
    again = run(tiny, out=out)
    weights, before = again.weights(), finished.weights()
    assert all(torch.equal(weights[name], before[name]) for name in before)
    assert again.predictions == finished.predictions
    assert np.array_equal(again.maps("gradcam++", "true"), finished.maps("gradcam++", "true"))
    other = run(tiny, set={"seed": 4, "explain.methods": []}, out=out)
    assert not torch.equal(other.weights()["fc.weight"], before["fc.weight"])


def test_the_lock_file_runs_as_it_stands(finished: Run, out: Path) -> None:
    locked = Recipe.load(finished.folder / "recipe.lock.yaml")
    assert locked.dataset.offer.full_name == "xaitool/shapes"
    again = run(locked, out=out)
    assert again.predictions == finished.predictions
    assert (again.folder / "recipe.lock.yaml").read_text() == (finished.folder / "recipe.lock.yaml").read_text()


def test_a_lock_file_of_other_versions_is_told(tiny: Recipe, out: Path) -> None:
    lock = yaml.safe_load(tiny.to_yaml())
    lock["locked"]["packages"]["torch"] = "0.4.1"
    seen: list[str] = []

    class Listening(Silent):
        def warn(self, text: str) -> None:
            seen.append(text)

    run(Recipe.parse(yaml.safe_dump(lock)), set=UNJUDGED, out=out, display=Listening())
    assert [text for text in seen if "torch 0.4.1" in text]


def test_the_process_is_left_as_it_was(tiny: Recipe, out: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        dict(os.environ),
        Path.cwd(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        sorted(Path().iterdir()),
    )
    run(tiny, set=UNJUDGED, out=out)
    after = (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        dict(os.environ),
        Path.cwd(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        sorted(Path().iterdir()),
    )
    assert after == before


def test_accelerate_is_left_as_it_was(tiny: Recipe, out: Path) -> None:
    from accelerate.state import AcceleratorState, PartialState

    run(tiny, set=UNJUDGED, out=out)
    assert not PartialState._shared_state
    assert not AcceleratorState._shared_state


def test_ctrl_c_leaves_a_folder_that_says_where(tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step
    calls = []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 7:  # five steps an epoch: in the second one
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tiny, out=out)
    told = journal(out)
    assert (told["state"], told["stage"], told["stages"]["fit"]["epochs"]) == ("interrupted", "fit", 1)
    assert len((only_folder(out) / "history.jsonl").read_text().splitlines()) == 1
    assert len(list((only_folder(out) / "checkpoints").glob("fit-*.safetensors"))) == 1


def raising(error: BaseException) -> Callable[..., Any]:
    def explain(*_: Any, **__: Any) -> Any:
        raise error

    return explain


def test_a_plugin_that_raises_is_named(tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaitool_gradcam.explainers import CAM

    monkeypatch.setattr(CAM, "explain", raising(ZeroDivisionError("in the plugin")))
    with pytest.raises(PluginError, match=r"plugin gradcam \(xaitool .*\) failed in .*: gradcam: in the plugin"):
        run(tiny, out=out)
    assert journal(out)["state"] == "failed"
    log = (only_folder(out) / "run.log").read_text()
    assert "Traceback" in log
    assert "ZeroDivisionError" in log


@pytest.mark.parametrize("error", [PluginError("it broke"), KeyboardInterrupt()])
def test_what_ended_a_run_is_told_although_it_is_told_to_end_as_well(
    error: BaseException, tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "step", raising(error))
    monkeypatch.setattr("xaitool.engine.journal.write_report", raising(KeyboardInterrupt()))
    monkeypatch.setattr(Silent, "summary", raising(KeyboardInterrupt()))
    with pytest.raises(type(error)) as told:
        run(tiny, out=out)
    assert told.value is error
    assert any(note.startswith("to go on from there: xaitool run --resume") for note in error.__notes__)
    assert journal(out)["state"] == ("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
    assert str(only_folder(out)) not in xaitool_tensorboard._open  # an observer has been told


def test_how_a_run_ended_is_written_although_its_writing_is_interrupted(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, interrupts = Journal._write, [1]

    def interrupted(self: Journal) -> None:
        if self.state["state"] == "failed" and interrupts:
            interrupts.clear()
            raise KeyboardInterrupt
        write(self)

    monkeypatch.setattr(Trainer, "step", raising(PluginError("it broke")))
    monkeypatch.setattr(Journal, "_write", interrupted)
    with pytest.raises(PluginError, match="it broke"):
        run(tiny, out=out)
    assert journal(out)["state"] == "failed"


class Unreachable(DataUnavailableError):
    """An error of a plugin's own, made of more than a message."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__(f"{server}:{port} does not answer")


@pytest.mark.parametrize(
    ("stage", "error", "message"),
    [
        ("load_data", Unreachable("here", 80), r"^<recipe>:\d+:\d+: dataset: here:80 does not answer\n"),
        ("load_data", PluginError("dataset shapes: gone"), r"^<recipe>:\d+:\d+: dataset: shapes: gone\n"),
        ("build_model", CheckpointError("there is none"), r"^<recipe>:\d+:\d+: model: there is none\n"),
    ],
)
def test_what_data_and_models_lack_is_told_with_its_place_in_the_file(
    stage: str, error: XaitoolError, message: str, tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"xaitool.engine.stages.{stage}", raising(error))
    with pytest.raises(XaitoolError, match=message):
        run(tiny, out=out)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (lambda images: torch.zeros(len(images), 3, 3), "a torch.float32 tensor"),
        (lambda images: torch.full((len(images), *images.shape[2:]), torch.nan), "NaN"),
        (lambda images: torch.zeros(len(images), *images.shape[2:], dtype=torch.float64), "a torch.float32 tensor"),
        (lambda images: None, "a torch.float32 tensor"),
    ],
)
def test_maps_that_break_the_contract_are_refused_before_training(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, maps: Callable[..., Any], message: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    monkeypatch.setattr(CAM, "explain", lambda _self, _subject, images, _targets: maps(images))
    with pytest.raises(PluginError, match=f"broke its contract.*{message}"):
        run(tiny, out=out)
    assert "fit" not in journal(out)["stages"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"explain.methods": [{"use": "gradcam", "layers": ["layer9"]}]}, "no layer 'layer9'; did you mean 'layer"),
        ({"explain.targets": ["predicted", "stars"]}, "'stars' is neither .* did you mean 'star'"),
    ],
)
def test_a_mistake_only_the_data_or_the_model_show_is_met_before_training(
    tiny: Recipe, out: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExplainError, match=message):
        run(tiny, set=change, out=out)
    assert "tune" not in journal(out)["stages"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("methods: [gradcam, gradcam++,", "methods: [gradcam, {use: gradcam++, layers: [layer9]},",
            r"^<recipe>:25:22: explain\.methods\.1: the model has no layer 'layer9'"),
        ("targets: [predicted,", "targets: [stars,", r"^<recipe>:24:3: explain\.targets: 'stars' is neither"),
        ("select: {mis", "select: {ids: [nothing], mis",
            r"^<recipe>:21:12: explain\.select\.ids: no test image is called 'nothing'"),
    ],
)  # fmt: skip
def test_a_mistake_only_the_data_or_the_model_show_has_its_place_in_the_file(
    tiny: Recipe, out: Path, before: str, after: str, message: str
) -> None:
    assert before in tiny.source.text
    with pytest.raises(ExplainError, match=message):
        run(Recipe.parse(tiny.source.text.replace(before, after)), out=out)


def test_a_search_without_an_answer_shows_its_curve(tiny: Recipe, out: Path) -> None:
    with pytest.raises(TuningError, match=r"the curve is in .*lr_finder\.png") as caught:
        run(tiny, set={"train.scheduler.start_lr": 1e-9, "train.scheduler.end_lr": 2e-9}, out=out)
    picture = Path(str(caught.value).rpartition("the curve is in ")[2])
    assert picture.is_file()
    assert len(json.loads((only_folder(out) / "lr_finder.json").read_text())["losses"]) == 30


def test_a_loss_that_is_no_number_ends_the_training(tiny: Recipe, out: Path) -> None:
    change = {"train.scheduler": {"use": "onecycle", "max_lr": 1e30}, "train.ema": None}
    with pytest.raises(
        TrainingError,
        match=r"the training loss is nan in epoch \d, step \d+ of 10, at .* [\d.]+e\+\d+, on the images train/",
    ):
        run(tiny, set=change, out=out)
    assert journal(out)["stage"] == "fit"


def test_a_device_that_is_not_there_leaves_no_folder(tiny: Recipe, out: Path) -> None:
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(DeviceError, match=f"asks for {missing}"):
        run(tiny, set={"runtime.device": missing}, out=out)
    assert not out.exists()


def test_a_wrong_change_is_a_recipe_error_and_leaves_no_folder(tiny: Recipe, out: Path) -> None:
    with pytest.raises(RecipeError, match=r'set\["train.epoch"\]: train.epoch: unknown key; did you mean .epochs'):
        run(tiny, set={"train.epoch": 1}, out=out)
    assert not out.exists()


def test_without_explainers_and_without_a_page(tiny: Recipe, out: Path) -> None:
    change = {"explain.methods": [], "report.html": False, "train.epochs": 1, "train.ema": None}
    bare = run(tiny, set=change, out=out)
    assert not (bare.folder / "report.html").exists()
    assert (bare.folder / "figures/misclassified.png").is_file()


def test_workers_change_nothing(finished: Run, tiny: Recipe, out: Path) -> None:
    again = run(tiny, set={"runtime.workers": 2, "explain.methods": []}, out=out)
    before = finished.weights()
    assert all(torch.equal(value, before[name]) for name, value in again.weights().items())


def test_augmenting_on_the_device_is_augmenting(tiny: Recipe, out: Path) -> None:
    """Where nothing is left to chance, it is even the same training, with any number of workers."""
    change = {"dataset.augment": [{"HorizontalFlip": {"p": 1.0}}], "explain.methods": [], "train.epochs": 1}
    before = run(tiny, set=change, out=out).weights()
    for workers in (0, 2):
        on_device = run(tiny, set={**change, "runtime.augment": "device", "runtime.workers": workers}, out=out)
        assert all(torch.equal(value, before[name]) for name, value in on_device.weights().items())


def test_what_the_device_cannot_augment_is_told_with_its_place(tiny: Recipe, out: Path) -> None:
    change = {"dataset.augment": ["ColorJitter"], "runtime.augment": "device"}
    with pytest.raises(
        DeviceError, match=r'set\["runtime.augment"\]: runtime.augment: the device cannot do it: .*HorizontalFlip'
    ):
        run(tiny, set=change, out=out)
    assert journal(out)["stage"] == "data"


def test_none_selected_is_not_none_made(tiny: Recipe, out: Path) -> None:
    bare = run(tiny, set={"explain.select.misclassified": 0, **UNJUDGED}, out=out)
    assert bare.metrics["misclassified"] > 0
    assert not (bare.folder / "figures/misclassified.png").exists()
    assert not (bare.folder / "figures/gradcam_misclassified.png").exists()


def test_weights_that_broke_in_the_last_step_are_an_error_and_not_a_traceback(tiny: Recipe, out: Path) -> None:
    change = {
        "train.scheduler": {"use": "cosine", "max_lr": 1e38},
        "train.ema": None,
        "train.epochs": 1,
        "train.batch_size": 160,
    }
    with pytest.raises(TrainingError, match="logits that are no numbers"):
        run(tiny, set=change, out=out)
    assert journal(out)["state"] == "failed"


def test_images_that_cannot_be_fetched_are_the_data_sets_failure(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool.data.arrays import ImageArray

    fetch = ImageArray.__getitems__

    def failing(self: ImageArray, indices: Any) -> Any:
        if len(indices) > 1:
            raise OSError("the disk is gone")
        return fetch(self, indices)

    monkeypatch.setattr(ImageArray, "__getitems__", failing)
    with pytest.raises(PluginError, match=r"plugin shapes \(xaitool .*failed in loading images: shapes: the disk is"):
        run(tiny, out=out)
    assert journal(out)["stage"] == "tune"
