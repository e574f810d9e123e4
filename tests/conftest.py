"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from xaitool import Run, run


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # tests run one process a core


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run: CUDA, and the real CIFAR-10 where nobody says where it is."""
    without = set()
    if not torch.cuda.is_available():
        without.add("cuda")
    if not os.environ.get("XAITOOL_TEST_CIFAR10"):
        without.add("cifar10")
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in without)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("XAITOOL_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which XAITOOL_NO_SKIPS forbids: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a cache of its own."""
    monkeypatch.setenv("XAITOOL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    """The folder of the real CIFAR-10."""
    return Path(os.environ["XAITOOL_TEST_CIFAR10"])


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a few seconds, to be looked at; all kinds of things are in it."""
    change = {
        "dataset.train": 240,
        "dataset.test": 120,
        "dataset.classes": ["circle", "star", "cross"],
        "train.epochs": 2,
        "train.batch_size": 32,
        "train.scheduler": {"use": "lr_finder_onecycle", "num_iter": 30, "start_lr": 1e-3, "end_lr": 3},
        "explain.select": {"misclassified": 12, "correct": 4},
        "explain.methods": ["gradcam", {"use": "gradcam++", "layers": "auto"}],
        "explain.metrics": [{"use": "abpc", "steps": 8}, "randomisation", "mass_in_mask"],
        "explain.judge.images": 30,
    }
    return run("quickstart", set=change, out=tmp_path_factory.mktemp("small"))
