"""The wheel is enough: unpacked elsewhere, with no checkout on the path, it has its plugins and recipes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, as installing it would lay them down."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def xaitool(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -P and PYTHONPATH: the unpacked wheel comes before the editable install that the tests themselves run from.
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "xaitool", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_it_holds_the_code_the_plugins_and_the_recipes(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "xaitool",
        "xaitool_cifar10",
        "xaitool_gradcam",
        "xaitool_image_folder",
        "xaitool_metrics",
        "xaitool_onecycle",
        "xaitool_python",
        "xaitool_shapes",
        "xaitool_tensorboard",
        "xaitool_timm",
        "xaitool_torchvision",
    }
    recipes = {path.name for path in (ROOT / "recipes").glob("*.yaml")}
    assert {path.name for path in (installed / "xaitool/recipes").iterdir()} == recipes
    shipped = ("py.typed", "report/template.html", "report/style.css", "scaffold/templates/common/pyproject.toml.jinja")
    for name in shipped:
        assert (installed / "xaitool" / name).is_file()
    assert list(installed.rglob("test_*.py")) == []


def test_a_shipped_recipe_runs_from_any_folder(installed: Path, tmp_path: Path) -> None:
    changes = [
        "train.epochs=1",
        "dataset.train=160",
        "dataset.test=64",
        "explain.judge.images=4",
        "train.scheduler={use: onecycle, max_lr: 0.05}",
    ]
    done = xaitool(installed, tmp_path, "run", "quickstart", *(word for each in changes for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path / "runs/quickstart"
    assert (folder / "report.html").stat().st_size > 100_000


def test_it_is_the_wheel_that_ran(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "import xaitool, xaitool_shapes; print(xaitool.__file__, xaitool_shapes.__file__)",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert all(Path(path).is_relative_to(installed) for path in done.stdout.split())
