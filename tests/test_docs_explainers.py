"""docs/explainers.md: it tells of every built-in explainer, and its recipes and its Python work."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from xaitool import Recipe
from xaitool.plugins import catalog

TEXT = (Path(__file__).parent.parent / "docs/explainers.md").read_text()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def test_every_explainer_is_told_once() -> None:
    told = re.findall(r"^\| `([^`]+)` \|", TEXT, flags=re.M)
    offers = catalog().of_kind("explainer")
    assert sorted(told) == sorted(each.component.name for each in offers if each.plugin.name == "xaitool/gradcam")


def test_those_that_know_no_class_are_told() -> None:
    for offer in catalog().of_kind("explainer"):
        if offer.plugin.name == "xaitool/gradcam":
            explainer = offer.build(offer.component.load_config()(), "a test")
            agnostic = not getattr(explainer, "class_specific", True)
            assert agnostic == ("no class" in offer.component.summary)


@pytest.mark.parametrize("block", fenced("yaml"))
def test_its_recipes_are_right(block: str) -> None:
    train = "train: {epochs: 1, scheduler: {use: onecycle, max_lr: 0.1}}"
    Recipe.parse(f"recipe: 1\nname: docs\ndataset: shapes\nmodel: {{use: timm, name: resnet10t}}\n{train}\n{block}")


def test_its_python_says_what_it_shows() -> None:
    (block,) = fenced("python")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block, {})
    (shown,) = re.findall(r"^print\(.*\)  # (.*)$", block, flags=re.M)
    assert said.getvalue().strip() == shown
