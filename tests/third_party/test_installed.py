"""Somebody else's distribution beside xaitool's wheel, in an environment of its own: it is found, checked and used."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment

from xaitool.component import KINDS

SHORT = [
    "train.epochs=1",
    "dataset.train=160",
    "dataset.test=64",
    "train.scheduler={use: onecycle, max_lr: 0.05}",
    "explain.judge.images=4",
]
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
    metrics = "explain.metrics=[gini, {use: abpc, steps: 8}]"
    done = fresh.run("xaitool", "run", "quickstart", *CHANGES, "--set", methods, "--set", metrics)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip().splitlines()[-1])
    assert folder.is_relative_to(fresh.work)
    assert (folder / "explanations/acme_gradient/predicted.npy").is_file()
    assert "acme-vision: 1.2.0" in (folder / "recipe.lock.yaml").read_text()
    assert [line.partition(":")[0] for line in (folder / "diary.txt").read_text().splitlines()][-1] == "report"
    assert "acme_gradient" in (folder / "report.html").read_text()


# Captum's explainers are a distribution of their own.

CAPTUM = ROOT / "plugins/xaitool_captum"


@pytest.fixture(scope="session")
def with_captum(fresh: Environment) -> Environment:
    fresh.install(CAPTUM)
    return fresh


def test_captums_explainers_pass_the_kit_and_their_own_tests(with_captum: Environment) -> None:
    shutil.copytree(CAPTUM / "tests", with_captum.work / "captum_tests")
    done = with_captum.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "captum_tests")
    assert done.returncode == 0, done.stdout
    assert not re.search("skipped|xfailed|failed", done.stdout.splitlines()[-1])


def test_captums_explainers_run_in_a_recipe_beside_gradcam(with_captum: Environment) -> None:
    names = ["integrated_gradients", "saliency", "input_x_gradient", "deeplift", "occlusion", "gradient_shap"]
    names += ["guided_backprop", "lrp"]
    listed = with_captum.run("xaitool", "plugins", "list").stdout
    assert [name for name in names if f" {name} " not in listed] == []
    methods = f"explain.methods=[gradcam, {', '.join(names)}]"
    done = with_captum.run(
        "xaitool", "run", "quickstart", *CHANGES, "--set", methods, "--set", "explain.metrics=[gini]"
    )
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip().splitlines()[-1])
    assert {path.name for path in (folder / "explanations").iterdir()} == {
        "gradcam",
        "images.csv",
        "images.npy",
        *names,
    }


# What `xaitool plugins new` writes is a distribution that passes its own tests as it stands.


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_installs_and_passes_its_own_tests(fresh: Environment, kind: str) -> None:
    name = f"my-{kind}"
    done = fresh.run("xaitool", "plugins", "new", name, "--kind", kind)
    assert done.returncode == 0, done.stderr
    fresh.install(fresh.work / name)
    done = fresh.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", name)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9][0-9]* passed in", done.stdout.splitlines()[-1])
    assert f" {name} " in fresh.run("xaitool", "plugins", "list").stdout
