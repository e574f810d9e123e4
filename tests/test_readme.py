"""What the README shows works: every command in it is run, and so is its Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xaitool.recipe import library
from xaitool.recipe.resolve import Recipe
from xaitool.recipe.source import parse
from xaitool.scaffold.write import write

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()

# Commands that another test or CI itself runs, or that need what a test has not got.
ELSEWHERE = {
    "pip install xaitool",  # tests/test_wheel.py
    "pip install ./plugins/xaitool_captum",  # tests/third_party
    'pip install "xaitool[tensorboard]"',  # an extra of what tests/test_wheel.py installs; tests/plugins runs it
    "make test",  # this very run
    "pip install -e my-saliency",  # tests/third_party installs a plugin like it, from its folder
    "pytest my-saliency",  # tests/test_scaffold.py makes every check of a new plugin of each kind
    "xaitool run cifar10_cpu --set dataset.root=FOLDER",  # tests/test_cifar10_run.py
    "xaitool explain runs/quickstart --images photos --out explained",  # tests/test_docs_explain.py
    # Needs weights from the hub; tests/stream explains by models of this kind.
    "xaitool explain --model timm/resnet50 --classes imagenet.txt --images photos --out explained-by-resnet50",
}
# What a test changes to be done in seconds.
SHORT = (
    "--set train.epochs=1 --set dataset.train=500 --set dataset.test=64 --set explain.judge.images=8 "
    "--set 'explain.select={misclassified: 4, correct: 1}'"
)


def indented(text: str) -> list[str]:
    """The commands of the indented blocks."""
    without_fences = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [line.strip() for line in without_fences.splitlines() if re.match(r" {4}\S", line)]


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)


def commands() -> list[str]:
    inline = ["xaitool recipe schema > xaitool.schema.json", "xaitool run shortcut"]
    assert all(f"`{command}`" in TEXT for command in inline)
    blocks = [line for block in fenced("sh") for line in block.splitlines()]
    return inline + indented(TEXT) + blocks  # what is compared at the end has been run before


@pytest.mark.timeout(1500)  # five runs and three reports, one after the other
def test_each_command_of_the_readme(tmp_path: Path) -> None:
    ran = []
    for command in commands():
        if command in ELSEWHERE:
            continue
        assert command.startswith("xaitool "), f"no test runs {command!r}"
        quick = f"{command} {SHORT}" if command.startswith("xaitool run") else command
        if command.startswith("xaitool run quickstart"):  # which searches for its rate
            quick += " --set train.scheduler.num_iter=50"
        if "explain.require" in command:  # a network of one short epoch, judged on few images, meets no requirement
            quick = quick.replace("images=8", "images=30")
        done = shell(quick, tmp_path)
        assert done.returncode == (3 if "explain.require" in command else 0), f"{quick}\n{done.stderr}"
        ran.append(command)
    assert len(ran) == 14
    assert len(list(tmp_path.glob("runs/quickstart/*/report.html"))) == 4
    assert 0 < json.loads((tmp_path / "summary.json").read_text())["accuracy"] < 1
    assert (tmp_path / "comparison.html").is_file()
    assert len(list(tmp_path.glob("runs/shortcut/*/shortcut.json"))) == 1
    assert (tmp_path / "mine.yaml").read_text() == (ROOT / "recipes/quickstart.yaml").read_text()


def test_the_errors_shown_are_those_one_gets(tmp_path: Path) -> None:
    text = (ROOT / "recipes/quickstart.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("HorizontalFlip", "HorizontalFlop").replace("epochs:", "epoch:"))
    done = shell("xaitool recipe check mine.yaml", tmp_path)
    assert done.returncode == 2
    (shown,) = [block for block in fenced("text") if block.startswith("mine.yaml:")]
    assert [line for line in shown.splitlines() if line not in done.stderr] == []


def test_the_recipe_shown_is_the_quickstart() -> None:
    (shown,) = fenced("yaml")
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "recipes/quickstart.yaml").read_text())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_python_examples(number: int, tmp_path: Path) -> None:
    code = fenced("python")[number]
    if "xaitool.run(" in code:
        size = '"dataset.train": 500'
        assert size in code
        quick = '"dataset.test": 64, "explain.judge.images": 8, "train.scheduler.num_iter": 50'
        code = code.replace(size, f"{size}, {quick}")
    done = subprocess.run(
        [sys.executable, "-c", f"import torch; torch.set_num_threads(1)\n{code}\nprint(maps.shape)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\d+", done.stdout.splitlines()[-1])) >= 3


def test_the_plugin_example_is_right() -> None:
    scope: dict[str, object] = {}
    exec(compile(fenced("python")[3], "README.md", "exec"), scope)
    (component,) = scope["xaitool_explainers"]()  # type: ignore[operator]
    assert component.name == "edges"


def test_the_plugin_test_is_the_one_that_a_new_plugin_has(tmp_path: Path) -> None:
    folder = write("my-saliency", "explainer", tmp_path)
    assert fenced("python")[4] == (folder / "tests/test_conformance.py").read_text()


def test_files_that_the_readme_points_to_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_the_table_names_every_recipe() -> None:
    assert [name for name in library.names() if f"| `{name}` |" not in TEXT] == []
    for name in library.names():
        assert library.headline(name)
        assert Recipe.load(name).source.data == parse(library.locate(name).read_text(), name, os.environ).data
