"""Somebody else's distribution beside xaitool's wheel, in an environment of its own: it is found, checked and used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from fresh_environment import ROOT, Environment

SHORT = ["train.epochs=1", "dataset.train=160", "dataset.test=64", "train.scheduler={use: onecycle, max_lr: 0.05}"]
CHANGES = [word for each in SHORT for word in ("--set", each)]


def test_nothing_of_the_checkout_is_on_its_path(fresh: Environment) -> None:
    program = (
        "import json, sys, xaitool, acme_vision; print(json.dumps([sys.path, xaitool.__file__, acme_vision.__file__]))"
    )
    path, *files = json.loads(fresh.run("python", "-c", program).stdout)
    assert [each for each in path if Path(each).is_relative_to(ROOT)] == []
    assert all(Path(file).is_relative_to(fresh.path) for file in files)


def test_it_is_listed_beside_the_built_in_plugins(fresh: Environment) -> None:
    done = fresh.run("xaitool", "plugins", "list")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "acme_gradient" in line]
    assert "explainer" in line
    assert "acme-vision 1.2.0" in line
    assert "the gradient's size" in line
    assert "gradcam++" in done.stdout


def test_it_passes_the_conformance_kit(fresh: Environment) -> None:
    done = fresh.run("xaitool", "plugins", "check", "acme-vision")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "explainer/acme_gradient:batch-invariant" in done.stdout
    assert "plugin/diary:imports-lightly" in done.stdout
    shutil.copytree(Path(__file__).parent / "acme/tests", fresh.work / "acme_tests")
    done = fresh.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "acme_tests")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout


def test_it_runs_in_a_recipe_beside_a_built_in_one(fresh: Environment) -> None:
    methods = "explain.methods=[gradcam, {use: acme-vision/acme_gradient, width: 5}]"
    done = fresh.run("xaitool", "run", "quickstart", *CHANGES, "--set", methods)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip().splitlines()[-1])
    assert folder.is_relative_to(fresh.work)
    assert (folder / "explanations/acme_gradient/predicted.npy").is_file()
    assert "acme-vision: 1.2.0" in (folder / "recipe.lock.yaml").read_text()
    assert [line.partition(":")[0] for line in (folder / "diary.txt").read_text().splitlines()][-1] == "report"
    assert "acme_gradient" in (folder / "report.html").read_text()
