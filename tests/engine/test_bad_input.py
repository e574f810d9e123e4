"""Data, models and explainers that are wrong: who, what and where is told, and no run ends in a traceback."""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xaitool import Recipe, Run, resume, run
from xaitool.cli import main
from xaitool.contracts import DataBundle, ModelBundle, Tuned
from xaitool.engine.blame import blamed
from xaitool.engine.data import OwnedImages
from xaitool.engine.folder import RunFolder
from xaitool.engine.guard import Guard
from xaitool.engine.runtime import open_runtime
from xaitool.errors import (
    ContractError,
    DataUnavailableError,
    FolderError,
    ImageError,
    PluginError,
    RecipeError,
    XaitoolError,
)
from xaitool.plugins import Offer
from xaitool.recipe.schema import RuntimeSettings

DRAWS_NOTHING = """
recipe: 1
name: drawn
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 160, test: 80, classes: [circle, cross, star]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train: {epochs: 2, batch_size: 32, scheduler: {use: onecycle, max_lr: 0.05}}
explain: {select: {misclassified: 4}, targets: [predicted], methods: [gradcam], metrics: [], triage: false}
report: {html: false}
"""

Install = Callable[[str, Callable[[Any], Any]], None]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put what a kind of component makes through a function."""
    build = Offer.build

    def install(kind: str, change: Callable[[Any], Any]) -> None:
        def spoilt(self: Offer, config: Any, stage: str, **given: Any) -> Any:
            made = build(self, config, stage, **given)
            return change(made) if self.kind == kind else made

        monkeypatch.setattr(Offer, "build", spoilt)

    return install


class Images:
    """Images of which each item goes through a function of (index, image, label)."""

    def __init__(self, images: Any, change: Callable[[int, Tensor, int], tuple[Tensor, int]]) -> None:
        self.images = images
        self.change = change

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.change(index, *self.images[index])


def each(split: str, change: Callable[[int, Tensor, int], tuple[Tensor, int]]) -> Callable[[DataBundle], DataBundle]:
    return lambda data: replace(data, **{split: Images(getattr(data, split), change)})  # type: ignore[arg-type]


def label_of_one(wrong: Any) -> Callable[[DataBundle], DataBundle]:
    return each("train", lambda index, image, label: (image, wrong if index == 77 else label))


def image_of_one(change: Callable[[Tensor], Any], split: str = "train") -> Callable[[DataBundle], DataBundle]:
    return each(split, lambda index, image, label: (change(image) if index == 77 else image, label))


def one_is(what: str) -> str:
    return rf"image 77 \(t\w+/0*77\) is {what}, not a torch.float32 tensor of 3 x 32 x 32"


class TooFew(Images):
    """Images that come by the batch, and one is missing."""

    def __init__(self, images: Any) -> None:
        super().__init__(images, lambda _, image, label: (image, label))

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        return [self[index] for index in indices[1:]]


DATA: list[tuple[str, Callable[[DataBundle], Any], str]] = [
    ("no bundle", lambda data: [data], "should return a DataBundle, not list"),
    ("one class", lambda data: replace(data, classes=data.classes[:1]), "should have at least two classes"),
    ("a name twice", lambda data: replace(data, classes=("a", "b", "a")), "has a class name twice"),
    ("no images", lambda data: replace(data, test=[], test_ids=[]), "has no test images"),
    ("too few ids", lambda data: replace(data, train_ids=data.train_ids[1:]), "has 160 train images but 159 ids"),
    ("an id twice", lambda data: replace(data, test_ids=["a"] * 120), "has the id 'a' of a test image twice"),
    ("no spread", lambda data: replace(data, std=(0.2, 0.0, 0.2)), "should have a std above 0"),
    ("no number as mean", lambda data: replace(data, mean=(0.2, float("nan"), 0.2)), "numbers as mean and std"),
    ("text as std", lambda data: replace(data, std=("a", "b", "c")), "numbers as mean and std"),
    ("NaN pixels", each("train", lambda _, image, label: (image * torch.nan, label)), "holds NaN or infinite values"),
    ("doubles", each("test", lambda _, image, label: (image.double(), label)), "should be float32 tensors"),
    ("a wrong first label", each("train", lambda _, image, label: (image, 3)), r"label 3 is not in 0\.\.2"),
    ("other sizes", each("test", lambda _, image, label: (image[:, 1:], label)), "transform both to one size"),
    (
        "one wrong label",
        each("train", lambda index, image, label: (image, -1 if index == 77 else label)),
        r"plugin shapes \(xaitool .*\) broke its contract: .* label of image 77 \(train/0*77\) is -1, not in 0\.\.",
    ),
    ("a first label of text", each("test", lambda _, image, label: (image, "cat")), r"label 'cat' is not in 0\.\.2"),
    ("a label of text", label_of_one("cat"), r"the label of image 77 \(t\w+/0*77\) is 'cat', not in 0\.\.2"),
    ("a list of a label", label_of_one(torch.tensor([1])), r"the label of image 77 \(t\w+/0*77\) is tensor\(\[1\]\)"),
    ("half a label", label_of_one(0.5), r"the label of image 77 \(t\w+/0*77\) is 0\.5, not in 0\.\.2"),
    ("one other size", image_of_one(lambda image: image[:, 1:]), one_is(r"a torch.float32 tensor of \(3, 31, 32\)")),
    ("one of other numbers", image_of_one(Tensor.double), one_is(r"a torch.float64 tensor of \(3, 32, 32\)")),
    ("one array", image_of_one(Tensor.numpy), one_is("a numpy.ndarray")),
    ("one NaN", image_of_one(lambda image: image * torch.nan), r"image 77 \(t\w+/0*77\) holds NaN or infinite values"),
    ("one NaN to test on", image_of_one(lambda image: image / 0, "test"), r"image 77 \(test/0*77\) holds NaN"),
    ("too few at once", lambda data: replace(data, train=TooFew(data.train)), "gave 31 images for 32 indices"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in DATA], ids=[case[0] for case in DATA])
def test_data_that_are_wrong_are_told(
    tiny: Recipe, tmp_path: Path, spoil: Install, change: Callable[[Any], Any], message: str
) -> None:
    spoil("dataset", change)
    with pytest.raises(XaitoolError, match=message) as caught:
        run(tiny, out=tmp_path)
    assert "shapes" in str(caught.value)


@pytest.mark.parametrize("augment", ["loader", "device"])
@pytest.mark.parametrize("workers", [0, 1])
def test_what_fails_in_a_process_that_loads_data_is_told_as_elsewhere(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: str, workers: int
) -> None:
    from xaitool.data.arrays import ImageArray

    def unread(self: Any, indices: Any) -> Any:
        if len(indices) > 1:
            raise OSError("the disk is gone")
        return real(self, indices)

    real = ImageArray.pixels
    monkeypatch.setattr(ImageArray, "pixels", unread)
    monkeypatch.setattr(ImageArray, "stacked", lambda self, indices: np.stack(self.pixels(indices)))
    blame = (
        r"^plugin shapes \(xaitool .*\) failed in loading images: shapes: the disk is gone \(OSError[^\n]*\)\nto go on"
    )
    with pytest.raises(XaitoolError, match=blame):
        run(tiny, set={"runtime.workers": workers, "runtime.augment": augment}, out=tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_data_that_print_and_change_the_random_state_change_nothing_else(
    tmp_path: Path, spoil: Install, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    def careless(index: int, image: Tensor, label: int) -> tuple[Tensor, int]:
        print("looking at", index)
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        return image, label

    # Without augmentation nothing is drawn at random in the data set itself.
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(DRAWS_NOTHING)
    plain = run(recipe, out=tmp_path / "plain")
    spoil("dataset", lambda data: each("test", careless)(each("train", careless)(data)))
    before = (random.getstate(), torch.get_rng_state())
    capfd.readouterr()
    main(["run", str(recipe), "--json", "--out", str(tmp_path / "spoilt"), "--set", f"runtime.workers={workers}"])
    printed, shown = capfd.readouterr()
    told = json.loads(printed)  # and nothing besides
    assert shown.count("looking at") >= 2 * 160
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    done = Run(told["folder"])
    assert done.journal["state"] == "finished"
    assert [figures["train_loss"] for figures in done.history] == [figures["train_loss"] for figures in plain.history]
    for file in ("model.safetensors", "predictions.csv", "explanations/gradcam/predicted.npy"):
        assert (done.folder / file).read_bytes() == (plain.folder / file).read_bytes(), file


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_call_sys_exit_are_named(tiny: Recipe, tmp_path: Path, spoil: Install, workers: int) -> None:
    def leaves(index: int, image: Tensor, label: int) -> tuple[Tensor, int]:
        return (image, label) if index != 77 else sys.exit("had enough")

    spoil("dataset", each("train", leaves))
    blame = r"^plugin shapes \(xaitool .*\) failed in loading images: shapes: had enough \(SystemExit[^\n]*\)\nto go on"
    with pytest.raises(PluginError, match=blame) as caught:
        run(tiny, set={"runtime.workers": workers}, out=tmp_path)
    assert caught.value.exit_status == 2
    (journal,) = tmp_path.glob("*/*/run.json")
    assert json.loads(journal.read_text())["state"] == "failed"


def test_a_worker_that_ends_is_told_and_the_run_goes_on_without_it(
    tmp_path: Path, spoil: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.getpid()

    def ends(index: int, image: Tensor, label: int) -> tuple[Tensor, int]:
        if index == 77 and os.getpid() != here:
            os._exit(7)
        return image, label

    recipe = Recipe.parse(DRAWS_NOTHING)
    plain = run(recipe, out=tmp_path / "plain")
    spoil("dataset", each("train", ends))
    told = r"has ended \(.*\): out of memory, or ended by what the data set calls; use fewer \(runtime\.workers\), or 0"
    with pytest.raises(DataUnavailableError, match=told):
        run(recipe, set={"runtime.workers": 1}, out=tmp_path / "ended")
    (folder,) = (tmp_path / "ended").glob("*/*")
    assert json.loads((folder / "run.json").read_text())["stage"] == "fit"
    done = resume(folder, set={"runtime.workers": 0}, force=True)
    assert done.journal["state"] == "finished"
    assert (done.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()


def test_a_label_that_is_no_class_is_told_where_the_device_augments(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool.data.arrays import HalfDone

    real = HalfDone.batch

    def off(self: Any, indices: Any) -> Any:
        pixels, drawn, labels = real(self, indices)
        return pixels, drawn, labels + 99

    monkeypatch.setattr(HalfDone, "batch", off)
    with pytest.raises(ContractError, match=r"shapes: the label of image \d+ \(.*\) is \d+, not in 0\.\.2"):
        run(tiny, set={"runtime.augment": "device"}, out=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels[1:], r"batch gave labels as a torch.int64 tensor of \(31,\), not as .* of \(32,\)"),
        (lambda labels: labels.tolist(), "batch gave labels as a list"),
        (lambda labels: labels.int(), "batch gave labels as a torch.int32 tensor"),
    ],
)
def test_labels_of_another_kind_are_told_there_too(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Any], message: str
) -> None:
    from xaitool.data.arrays import HalfDone

    real = HalfDone.batch

    def off(self: Any, indices: Any) -> Any:
        pixels, drawn, labels = real(self, indices)
        return pixels, drawn, change(labels)

    monkeypatch.setattr(HalfDone, "batch", off)
    with pytest.raises(ContractError, match=message):
        run(tiny, set={"runtime.augment": "device"}, out=tmp_path)


KINDS = {"numpy": np.int32, "tensor": torch.tensor, "bool or int": lambda label: bool(label) if label < 2 else label}


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_may_be_any_whole_number(tmp_path: Path, spoil: Install, kind: str) -> None:
    recipe = Recipe.parse(DRAWS_NOTHING)
    plain = run(recipe, set={"train.epochs": 1}, out=tmp_path / "plain")

    def as_kind(_: int, image: Tensor, label: int) -> tuple[Tensor, Any]:
        return image, KINDS[kind](label)

    spoil("dataset", lambda data: each("test", as_kind)(each("train", as_kind)(data)))
    done = run(recipe, set={"train.epochs": 1}, out=tmp_path / "of_kind")
    assert done.accuracy == plain.accuracy
    assert (done.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()


def test_samples_may_be_more_and_of_another_size_than_what_is_learnt_from(tmp_path: Path) -> None:
    crops = {"dataset.augment": [{"RandomCrop": {"height": 24, "width": 24}}]}
    crops["dataset.test_transform"] = [{"CenterCrop": {"height": 24, "width": 24}}]
    done = run(Recipe.parse(DRAWS_NOTHING), set={"train.epochs": 1, **crops}, out=tmp_path)
    assert done.journal["stages"]["data"]["size"] == [3, 24, 24]
    assert (done.folder / "figures/random_samples.png").is_file()


def test_an_image_beyond_the_ids_is_named_by_its_number(tiny: Recipe) -> None:
    images = [(torch.zeros(3, 8, 8), 0)] * 2 + [(torch.zeros(3, 8, 9), 0)]
    with pytest.raises(ContractError, match=r"image 2 is a torch\.float32 tensor"):
        OwnedImages(images, tiny.dataset.offer, 3, (3, 8, 8), ["a", "b"])[2]  # type: ignore[arg-type]


def test_an_error_with_more_than_a_message_comes_out_of_a_worker_whole() -> None:
    class Unreadable(Images):
        def __init__(self) -> None:
            super().__init__([], lambda *_: (torch.zeros(3, 8, 8), 0))

        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Any:
            raise ImageError("a.png", "it is cut off")

    with open_runtime(RuntimeSettings(device="cpu", workers=1)) as runtime, pytest.raises(ImageError, match="cut off"):
        list(runtime.loader(Unreadable(), 2, shuffle=False, keep_workers=False))


def test_an_image_that_is_no_number_is_named_in_the_training_too(tiny: Recipe, tmp_path: Path, spoil: Install) -> None:
    spoil("dataset", image_of_one(lambda image: image * torch.nan))
    change = {"train.scheduler": {"use": "onecycle", "max_lr": 0.1}, "train.ema": None}
    with pytest.raises(ContractError, match=r"image 77 \(t\w+/0*77\) holds NaN or infinite values"):
        run(tiny, set=change, out=tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("runtime.workers", 100_000), ("train.optimizer.weight_decay", 1e99), ("train.optimizer.weight_decay", 1e39)],
)
def test_what_nobody_has_is_refused_before_the_run(tiny: Recipe, key: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"{key}: should be less than or equal to"):
        tiny.with_set({key: value})


def test_a_worker_that_is_killed_meanwhile_is_not_the_models_fault(tiny: Recipe) -> None:
    died = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    told = r"has ended \(DataLoader worker \(pid 7\) is killed by signal: Killed\)"
    with pytest.raises(DataUnavailableError, match=told), blamed(tiny, "fit"):
        raise died
    with pytest.raises(DataUnavailableError, match="has ended"), tiny.model.offer.blamed("tune"):
        raise died


def test_a_full_disk_is_no_explainers_fault(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RunFolder.write_array

    def full(self: RunFolder, name: str, array: Any) -> Any:
        if "gradcam++" in name:
            raise FolderError(f"cannot write {name}: No space left on device")
        return real(self, name, array)

    monkeypatch.setattr(RunFolder, "write_array", full)
    with pytest.raises(
        FolderError, match=r"^cannot write explanations/gradcam\+\+/.*: No space left on device\nto go on"
    ):
        run(tiny, set={"train.epochs": 1}, out=tmp_path)


class Spoilt(nn.Module):
    """A network whose logits go through a function."""

    def __init__(self, module: nn.Module, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.module = module
        self.change = change

    def forward(self, images: Tensor) -> Any:
        return self.change(self.module(images))


class Weightless(nn.Module):
    """Three classes, and nothing to learn."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def logits(change: Callable[[Tensor], Any]) -> Callable[[ModelBundle], ModelBundle]:
    return lambda bundle: replace(bundle, module=Spoilt(bundle.module, change))


MODELS: list[tuple[str, Callable[[ModelBundle], Any], str]] = [
    ("no bundle", lambda bundle: bundle.module, "should return a ModelBundle, not ResNet"),
    ("a class too many", logits(lambda found: found.repeat(1, 2)), r"should give logits of \(2, 3\), not \(2, 6\)"),
    ("a pair", logits(lambda found: (found, found)), "should give a tensor of logits, not tuple"),
    ("no weights", lambda bundle: replace(bundle, module=Weightless()), "has no weights"),
    ("NaN", logits(lambda found: found * torch.nan), "gives logits that are NaN or infinite"),
    ("a layer that is none", lambda bundle: replace(bundle, cam_layers=("layer9",)), "names a CAM layer 'layer9'"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in MODELS], ids=[case[0] for case in MODELS])
def test_models_that_are_wrong_are_told_before_anything_is_learnt(
    tiny: Recipe, tmp_path: Path, spoil: Install, change: Callable[[Any], Any], message: str
) -> None:
    spoil("model", change)
    with pytest.raises(ContractError, match=rf"plugin timm \(xaitool .*\) broke its contract: timm: {message}"):
        run(tiny, out=tmp_path)
    (journal,) = tmp_path.glob("*/*/run.json")
    assert json.loads(journal.read_text())["stage"] == "model"


class Rated:
    """A scheduler with one rate."""

    tune_steps = 0

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def tune(self, probe: Any) -> Tuned:
        return Tuned(self.rate)

    def build(self, *_: Any) -> Any: ...


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e39, float("inf"), float("nan")])
def test_a_rate_that_no_step_can_be_taken_with_is_told(
    tiny: Recipe, tmp_path: Path, spoil: Install, rate: float
) -> None:
    spoil("scheduler", lambda _: Rated(rate))
    with pytest.raises(ContractError, match=f"lr_finder_onecycle: tune gave a learning rate of {re.escape(str(rate))}"):
        run(tiny, out=tmp_path)


SETTINGS: dict[str, Callable[[], Any]] = {
    "whether torch computes gradients": lambda: torch.set_grad_enabled(False),
    "torch's threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "whether torch is deterministic": lambda: torch.use_deterministic_algorithms(
        True, warn_only=not torch.is_deterministic_algorithms_warn_only_enabled()
    ),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_an_explainer_that_changes_torch_is_told_and_torch_put_back(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain

    def careless(self: Any, *arguments: Any) -> Any:
        maps = explain(self, *arguments)
        SETTINGS[what]()
        return maps

    monkeypatch.setattr(CAM, "explain", careless)
    before = Guard(nn.Identity())
    with pytest.raises(ContractError, match=rf"gradcam: leaves the model or torch changed \({what}\) by a trial"):
        run(tiny, out=tmp_path)
    assert before.changes() == []


def test_an_explainer_that_changes_the_random_state_changes_nothing_else(
    finished: Run, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain_together

    def careless(self: Any, subject: Any, images: Any, questions: Any) -> Any:
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        return explain(self, subject, images, questions)

    monkeypatch.setattr(CAM, "explain_together", careless)
    before = (random.getstate(), torch.get_rng_state())
    again = run(tiny, out=tmp_path)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert again.verdicts == finished.verdicts
    assert again.predictions == finished.predictions
    np.testing.assert_array_equal(again.maps("gradcam"), finished.maps("gradcam"))
