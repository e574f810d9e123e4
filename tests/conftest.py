"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


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
