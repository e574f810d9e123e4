"""Checkpoints: whole or not there, and a training goes on from one as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xaitool
from xaitool import RuntimeSettings, TrainSettings, Tuned
from xaitool.engine.checkpoint import Checkpoints, Saved
from xaitool.engine.fitted import Fitted
from xaitool.engine.folder import RunFolder
from xaitool.engine.trainer import Trainer
from xaitool.errors import FolderError, TrainingError

# More than any test lasts, and less than any step.
NEVER, ALWAYS = 1e6, 1e-9


class Noise:
    """Images that are drawn anew each time; the one called `bad` holds NaN."""

    def __init__(self, bad: int = -1) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 22

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.rand(3, 8, 8) + index % 3
        return (image * torch.nan if index == self.bad else image), index % 3


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, 3))


SGD = {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "ema": {"decay": 0.9}}
ADAMW = {"optimizer": {"name": "adamw"}, "clip_grad_norm": 0.5, "label_smoothing": 0.1}
ONE_CYCLE = {"use": "onecycle", "max_lr": 0.1, "cycle_momentum": True}
COSINE = {"use": "cosine", "max_lr": 0.01, "warmup": 0.2}


def train(module: nn.Module, change: dict[str, Any], checkpoints: Checkpoints | None, data: Any = None) -> Fitted:
    settings = TrainSettings(**{"epochs": 3, "batch_size": 4, "scheduler": ONE_CYCLE, **change})
    options = settings.scheduler.model_dump()
    scheduler = xaitool.build("scheduler", options.pop("use"), **options)
    with xaitool.open_runtime(RuntimeSettings(device="cpu")) as runtime:
        loader = runtime.loader(data or Noise(), 4, shuffle=True, seed=1)
        test = runtime.loader(Noise(), 4, shuffle=False)
        ids = [f"train/{row}" for row in range(22)]
        return xaitool.fit(
            module,
            loader,
            settings,
            scheduler,
            Tuned(options["max_lr"]),
            test=test,
            seed=2,
            runtime=runtime,
            ids=ids,
            checkpoints=checkpoints,
        )


def timeless(fitted: Fitted) -> list[dict[str, Any]]:
    return [epoch.as_dict() | {"seconds": 0, "images_per_second": 0} for epoch in fitted.history]


@pytest.mark.parametrize("change", [{**SGD, "scheduler": ONE_CYCLE}, {**ADAMW, "scheduler": COSINE}])
@pytest.mark.parametrize(("minutes", "steps"), [(ALWAYS, (3, 6, 7, 17)), (None, (8, 13)), (NEVER, (1,))])
def test_a_training_that_is_interrupted_again_and_again_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], minutes: float | None, steps: tuple[int]
) -> None:
    whole = net()
    expected = train(whole, change, None)
    real, left = Trainer.step, list(steps)  # of 18, 6 an epoch

    def stopping(self: Trainer, *arguments: Any) -> Tensor:
        if left and len(self.fitted.lrs) == left[0]:
            left.pop(0)
            real(self, *arguments)  # what is done after the checkpoint is lost
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Trainer, "step", stopping)
    checkpoints = Checkpoints(RunFolder(tmp_path), minutes, pytest.fail)
    for _ in steps:
        with pytest.raises(KeyboardInterrupt):
            train(net(), change, checkpoints)
    kept = len(list((tmp_path / "checkpoints").glob("fit-*"))) if minutes != NEVER else 6
    assert kept == 6 or minutes is None  # two generations of three files
    module = net()
    found = train(module, change, checkpoints)
    assert left == []
    assert found.lrs == expected.lrs
    assert timeless(found) == timeless(expected)
    values = zip(module.state_dict().values(), whole.state_dict().values(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in values)
    checkpoints.clear()
    assert list((tmp_path / "checkpoints").iterdir()) == []


def saved(number: int) -> Saved:
    return Saved({"weight": torch.full((2,), float(number))}, {"number": number, "tensor": torch.arange(3)})


@pytest.fixture
def two(tmp_path: Path) -> tuple[Checkpoints, list[str]]:
    warnings: list[str] = []
    checkpoints = Checkpoints(RunFolder(tmp_path), None, warnings.append)
    for step in (5, 10, 100):
        checkpoints.save(step, saved(step))
    return checkpoints, warnings


def test_two_generations_are_kept_with_their_sums(two: tuple[Checkpoints, list[str]], tmp_path: Path) -> None:
    checkpoints, warnings = two
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {f"fit-{step:08d}.{kind}" for step in (10, 100) for kind in ("json", "pt", "safetensors")}
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.rest["number"] == 100
    assert newest.tensors["weight"].tolist() == [100, 100]
    assert torch.load(tmp_path / "checkpoints/fit-00000010.pt", weights_only=True)["number"] == 10
    assert warnings == []


@pytest.mark.parametrize("kind", ["json", "pt", "safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    two: tuple[Checkpoints, list[str]], tmp_path: Path, kind: str, damage: str
) -> None:
    checkpoints, warnings = two
    path = tmp_path / f"checkpoints/fit-00000100.{kind}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink() if damage == "gone" else path.write_bytes(content if damage == "flipped" else content[:-9])
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.rest["number"] == 10
    if (kind, damage) != ("json", "gone"):  # without its manifest it is no checkpoint
        (warning,) = warnings
        assert "fit-00000100." in warning
        assert "going on from the checkpoint before it" in warning


def test_no_checkpoint_is_left_that_is_whole(two: tuple[Checkpoints, list[str]], tmp_path: Path) -> None:
    checkpoints, warnings = two
    for path in (tmp_path / "checkpoints").glob("*.pt"):
        path.write_bytes(b"")
    assert checkpoints.newest() is None
    assert len(warnings) == 2


def test_what_is_kept_anew_outlives_what_is_damaged(two: tuple[Checkpoints, list[str]], tmp_path: Path) -> None:
    checkpoints, _ = two
    for path in (tmp_path / "checkpoints").glob("*.pt"):
        path.write_bytes(b"")
    for step in (5, 7):  # begun again, and not yet as far as it was
        checkpoints.save(step, saved(step))
        newest = checkpoints.newest()
        assert newest is not None
        assert newest.rest["number"] == step
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == {"fit-00000005", "fit-00000007"}


def test_a_checkpoint_of_another_format_is_not_read(two: tuple[Checkpoints, list[str]], tmp_path: Path) -> None:
    checkpoints, warnings = two
    path = tmp_path / "checkpoints/fit-00000100.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    assert checkpoints.newest() is not None
    assert "of another version of xaitool" in warnings[0]


def test_a_checkpoint_of_another_model_is_an_error(tmp_path: Path) -> None:
    checkpoints = Checkpoints(RunFolder(tmp_path), None, pytest.fail)
    train(net(), {}, checkpoints)
    other = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(FolderError, match="the checkpoint does not fit what the recipe makes here"):
        train(other, {}, checkpoints)


def test_a_loss_that_is_no_number_is_told_with_its_step_and_images(tmp_path: Path) -> None:
    checkpoints = Checkpoints(RunFolder(tmp_path), ALWAYS, pytest.fail)
    rows: list[list[int]] = []

    class Watched(Noise):
        def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
            rows.append(list(indices))
            return [self[index] for index in indices]

    with pytest.raises(TrainingError) as caught:
        train(net(), {}, checkpoints, Watched(bad=7))
    step = next(place for place, batch in enumerate(rows, 1) if 7 in batch)
    names = ", ".join(f"train/{row}" for row in rows[step - 1])
    lr = r"at a learning rate of [\d.e-]+"
    caught.match(f"the training loss is nan in epoch 1, step {step} of 18, {lr}, on the images {names}; use a lower")
    # What was kept before it is good.
    newest = checkpoints.newest()
    assert (newest is None) == (step == 1)
    if newest:
        assert len(newest.rest["lrs"]) == step - 1
        assert all(bool(value.isfinite().all()) for value in newest.tensors.values())


def test_the_step_is_named_although_the_losses_are_looked_at_together(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nan in epoch 1, step \d+ of 18") as one_by_one:
        train(net(), {}, Checkpoints(RunFolder(tmp_path), ALWAYS, pytest.fail), Noise(bad=7))
    with pytest.raises(TrainingError) as together:  # at the epoch's end
        train(net(), {}, None, Noise(bad=7))
    assert str(together.value) == str(one_by_one.value)
