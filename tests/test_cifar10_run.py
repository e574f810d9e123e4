"""The recipes on the real CIFAR-10, shortened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xaitool import Run

SHORT = [
    "dataset.limit.train=2560",
    "dataset.limit.test=200",
    "train.epochs=1",
    "explain.judge.images=30",
    "explain.select={misclassified: 6, correct: 2}",
]
# A ResNet-18 sees 50 images a second on one core: few are judged on, and one layer is looked at.
QUICK = [
    "dataset.limit.train=256",
    "train.scheduler={use: onecycle, max_lr: 0.05}",
    "explain.judge.images=2",
    "explain.metrics=[{use: abpc, steps: 8}]",
    "explain.triage=false",
]


@pytest.fixture(scope="module")
def decoded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all of these tests: decoding 60,000 files takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.cifar10
@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("cifar10_cpu", ["train.scheduler.num_iter=30"]),
        # A search would take a hundred steps, each of seconds on a CPU.
        ("resnet18_cifar10", QUICK),
        ("resnet18_cifar10_tutorial", QUICK),
    ],
)
def test_recipes_on_real_images(
    recipe: str, changes: list[str], real_cifar10: Path, tmp_path: Path, decoded_once: Path
) -> None:
    sets = [f"dataset.root={real_cifar10}", *SHORT, *changes]
    done = subprocess.run(
        [sys.executable, "-m", "xaitool", "run", recipe, *(word for each in sets for word in ("--set", each))],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "XAITOOL_CACHE": str(decoded_once)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run = Run(done.stdout.strip())
    assert run.report.stat().st_size > 500_000
    assert len(run.predictions) == 200
    assert len(list((run.folder / "figures").glob("*_misclassified.png"))) >= 1
    if recipe == "cifar10_cpu":
        assert run.accuracy > 0.15  # chance is 0.1
