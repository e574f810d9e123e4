"""A run that is killed, at whatever moment, and gone on with ends as one that never was."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

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
# What tells of times, or of the commands that a run took.
OF_ITS_OWN = ("run.json", "run.log", "report.html", "environment.json", "history.jsonl")
MODULES = ("engine.run", "report.write", "engine.triage")


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., BaseProcess]]:
    """Starts a function in a process of its own, in which torch and all the rest have been imported."""
    set_here = {"OMP_NUM_THREADS": "1", "XAITOOL_PLUGINS_DISABLED": "xaitool/tensorboard"}
    before = {name: os.environ.get(name) for name in set_here}
    os.environ.update(set_here)
    context = multiprocessing.get_context("forkserver")
    plugins = ["xaitool_timm.models", "xaitool_gradcam.explainers", "xaitool_shapes.data", "xaitool_metrics.curves"]
    context.set_forkserver_preload([*(f"xaitool.{module}" for module in MODULES), *plugins])
    processes = []

    def started(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
        process = context.Process(target=function, args=arguments)
        process.start()
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.join()
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


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


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a run, but for what tells of times."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found: dict[str, Any] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    history = [json.loads(line) for line in found["history.jsonl"].splitlines()]
    timeless = [{key: each[key] for key in each if key not in ("seconds", "images_per_second")} for each in history]
    return {name: None if name in OF_ITS_OWN else content for name, content in found.items()} | {"history": timeless}


def test_a_run_that_is_killed_ends_as_one_that_never_was(
    start: Callable[..., BaseProcess], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    whole = start(begin, recipe, tmp_path / "whole")
    whole.join()
    (expected,) = (tmp_path / "whole/killed").iterdir()
    seconds = seconds_of(expected)
    assert list(seconds) == [stage for stage in STAGES if stage != "shortcut"]

    generator = random.Random(SEED)
    stages = list(seconds) * (KILLS // len(seconds)) + generator.sample(list(seconds), KILLS % len(seconds))
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
    found, wanted = contents(folder), contents(expected)
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"
