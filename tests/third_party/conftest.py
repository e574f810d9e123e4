"""A fresh environment with xaitool's own wheel in it, and nothing of the checkout on its path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment, uv

collect_ignore = ["acme"]  # it has tests of its own, which run where it is installed


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With xaitool's wheel, pytest, and the distribution of ``tests/third_party/acme``."""
    folder = tmp_path_factory.mktemp("third_party")
    environment = Environment(folder / "venv", folder / "work")
    environment.work.mkdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("xaitool-*.whl")
    uv("venv", "--python", sys.executable, str(environment.path))
    environment.install(wheel, Path(__file__).parent / "acme", "pytest")
    return environment


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """One environment is enough: all that use it run in one process (with ``--dist loadgroup``)."""
    for item in items:
        if "fresh" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("third_party"))
