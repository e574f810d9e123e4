"""A recipe that runs in seconds, and one finished run of it for all tests that only look."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import xaitool.figures
from xaitool import Recipe, Run, run

TINY = """
recipe: 1
name: tiny
seed: 3
runtime: {device: cpu}
dataset:
  use: shapes
  train: 160
  test: 120
  classes: [circle, cross, star]
  augment: [HorizontalFlip]
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 16, 16]}
train:
  epochs: 2
  batch_size: 32
  optimizer: {name: sgd, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}
  scheduler: {use: lr_finder_onecycle, num_iter: 30, start_lr: 1.0e-3, end_lr: 3}
  label_smoothing: 0.1
  ema: {decay: 0.9}
explain:
  select: {misclassified: 6, correct: 4}
  judge: {images: 40}
  metrics: [{use: abpc, steps: 8}, randomisation, mass_in_mask]
  targets: [predicted, true, runner_up, star]
  methods: [gradcam, gradcam++, {use: gradcam, as: gradcam-layer1, layers: [layer1]}]
"""


MODULES = ("engine.run", "report.write", "engine.triage")


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    return Recipe.parse(TINY)


@pytest.fixture(scope="session")
def finished(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tiny, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def sketched(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report's figures as blank pictures: to draw them is half of what a tiny run takes. `finished` has real ones."""
    png = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(png, "PNG")
    blank = {"png": png.getvalue(), "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'}

    def drawn(figure: object, formats: Sequence[str] = ("png",)) -> dict[str, bytes]:
        return {format: blank[format] for format in formats}

    monkeypatch.setattr(xaitool.figures, "drawn", drawn)


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
