"""A run that is killed, at whatever moment, and gone on with ends as one that never was."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from run_folders import assert_same, kill_in_step

import xaitool
from xaitool.engine.finished import STAGES

# `make test-kill` asks for 20.
KILLS = int(os.environ.get("XAITOOL_TEST_KILLS", "3"))
SEED = int(os.environ.get("XAITOOL_TEST_KILLS_SEED", "1"))

RECIPE = """
recipe: 1
name: killed
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 160, test: 80, classes: [circle, cross, star], augment: [HorizontalFlip]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 16, 16]}
train:
  epochs: 2
  batch_size: 32
  optimizer: {name: sgd, momentum: 0.9}
  scheduler: {use: lr_finder_onecycle, num_iter: 30, start_lr: 1.0e-3, end_lr: 3}
  ema: {decay: 0.9}
  checkpoint_minutes: 1.0e-9 # after each step
explain:
  select: {misclassified: 2, correct: 1}
  targets: [predicted]
  methods: [{use: gradcam, layers: auto}]
  metrics: [{use: abpc, steps: 8}]
  judge: {images: 30}
"""
# Images come half done out of processes of their own, in pieces, and the device does the rest.
LOADED = """
recipe: 1
name: killed
seed: 3
runtime: {device: cpu, workers: 2, augment: device}
dataset: {use: shapes, train: 160, test: 80, classes: [circle, cross, star], augment: [Affine: {p: 1}, HorizontalFlip]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 16, 16]}
train:
  epochs: 3
  batch_size: 32
  pieces: 3
  optimizer: {name: sgd, momentum: 0.9}
  scheduler: {use: lr_finder_onecycle, num_iter: 30, start_lr: 1.0e-3, end_lr: 3}
  checkpoint_minutes: 1.0e-9 # after each step
explain: {select: {misclassified: 1}, metrics: [], judge: {images: 0}}
report: {html: false}
"""
RUNS = {
    "whole": (RECIPE, [stage for stage in STAGES if stage != "shortcut"]),
    "loaded": (LOADED, ["tune", "fit", "evaluate"]),
}


def begin(recipe: Path, out: Path) -> None:
    xaitool.run(recipe, out=out)


def go_on(folder: Path) -> None:
    xaitool.resume(folder)


def stage_of(out: Path, attempt: int) -> str:
    """The stage that an attempt at a run is in; "" before the first and after the last."""
    for path in out.glob("*/*/run.json"):
        journal = json.loads(path.read_text())
        return (journal["stage"] or "") if len(journal["resumed"]) == attempt else ""
    return ""


def seconds_of(folder: Path) -> dict[str, float]:
    return {name: each["seconds"] for name, each in json.loads((folder / "run.json").read_text())["stages"].items()}


@pytest.mark.parametrize(("written", "kills_in"), RUNS.values(), ids=RUNS)
def test_a_run_that_is_killed_ends_as_one_that_never_was(
    written: str,
    kills_in: list[str],
    start: Callable[..., BaseProcess],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(written)
    whole = start(begin, recipe, tmp_path / "whole")
    whole.join()
    (expected,) = (tmp_path / "whole/killed").iterdir()
    seconds = seconds_of(expected)
    assert set(kills_in) <= set(seconds)

    generator = random.Random(SEED)
    stages = kills_in * (KILLS // len(kills_in)) + generator.sample(kills_in, KILLS % len(kills_in))
    place = {stage: number for number, stage in enumerate(["", *seconds])}
    out, told = tmp_path / "killed", []
    process = start(begin, recipe, out)
    for attempt, stage in enumerate(sorted(stages, key=place.__getitem__)):
        delay = generator.random() * seconds[stage]
        while process.is_alive() and place[stage_of(out, attempt)] < place[stage]:
            time.sleep(0.01)
        process.join(delay)
        was_in = stage_of(out, attempt)
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was quicker than the one that was timed
            break
        told.append(f"killed in {was_in or 'no stage'} ({delay:.2f} s after {stage} began): exit {process.exitcode}")
        (folder,) = (out / "killed").iterdir()
        process = start(go_on, folder)
    process.join()
    with capsys.disabled():
        if KILLS > 3:
            print("", *told, sep="\n")
    assert process.exitcode == 0
    assert sum("exit -9" in each for each in told) >= KILLS * 2 // 3
    assert_same(folder, expected, "report.html")
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"


def until(step: int, recipe: Path, out: Path) -> None:
    """A run, or the rest of one, that is killed in a step of its training."""
    kill_in_step(step)
    folders = list(out.glob("*/*"))
    xaitool.resume(folders[0]) if folders else xaitool.run(recipe, out=out)


if KILLS > 3:  # its compiler takes half a minute

    def test_so_does_a_compiled_one(start: Callable[..., BaseProcess], tmp_path: Path) -> None:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(LOADED.replace("  pieces: 3\n", "  pieces: 3\n  compile: true\n"))
        ends = []
        for step, out in ((-1, "whole"), (3, "killed"), (11, "killed"), (-1, "killed")):
            process = start(until, step, recipe, tmp_path / out)
            process.join()
            ends.append(process.exitcode)
        assert ends == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
        (expected,), (folder,) = ((tmp_path / out / "killed").iterdir() for out in ("whole", "killed"))
        assert_same(folder, expected, "report.html")
