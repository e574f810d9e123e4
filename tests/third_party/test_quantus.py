"""xaitool's metrics against Quantus, in an environment of its own: Quantus brings an OpenCV that is not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment, uv


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The greatest difference of each metric."""
    folder = tmp_path_factory.mktemp("quantus")
    environment = Environment(folder / "venv", folder / "work")
    environment.work.mkdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("xaitool-*.whl")
    uv("venv", "--python", sys.executable, str(environment.path))
    environment.install(wheel, "quantus>=0.6")
    shutil.copy(Path(__file__).parent / "compare_with_quantus.py", environment.work)
    done = environment.run("python", "compare_with_quantus.py")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("metric", ["gini", "entropy", "mass_in_mask", "top_k_overlap", "pointing_game"])
@pytest.mark.xdist_group("quantus")
def test_a_metric_is_quantus_own(differences: dict[str, float], metric: str) -> None:
    assert differences[metric] <= 1e-6
