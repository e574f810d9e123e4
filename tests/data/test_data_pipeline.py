"""Albumentations pipelines: every mistake in its place, and an import that leaves no trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from textwrap import indent
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from xaitool.data.pipeline import Pipeline, check
from xaitool.data.transforms import albumentations, compose, rehearse
from xaitool.errors import RecipeError
from xaitool.recipe.resolve import Recipe

RECIPE = """\
recipe: 1
name: t
dataset:
  use: cifar10
  augment:
{augment}
model: {{use: resnet18, stem: cifar}}
train:
  epochs: 1
  scheduler: {{use: lr_finder_onecycle}}
"""


def problems(augment: str, recipe: str = RECIPE) -> list[tuple[str, str, str]]:
    """Where (in `augment` as it is given), what (within it), and what is wrong."""
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(recipe.format(augment=indent(augment, "    ")), "r.yaml")
    found = []
    for problem in caught.value.problems:
        name, line, column = problem.where.split(":")
        assert name == "r.yaml"
        assert problem.key.startswith("dataset.augment")
        found.append(
            (f"{int(line) - 5}:{int(column) - 4}", problem.key.removeprefix("dataset.augment."), problem.message)
        )
    return found


BORDERS = "should be one of 'constant', 'replicate', 'reflect', 'wrap', 'reflect_101'"
SHAPE = "should be a transform's name, or {Name: {argument: value, ...}}"
NONE = "Albumentations has no transform of this name"
NO_SUCH = "RandomCrop has no such argument"


@pytest.mark.parametrize(
    ("entry", "column", "key", "message"),
    [
        ("RandomCropp: {height: 3}", 3, "RandomCropp", f"{NONE}; did you mean 'RandomCrop'?"),
        ("RandomCrop: {heigth: 3, width: 3}", 16, "RandomCrop.heigth", f"{NO_SUCH}; did you mean 'height'?"),
        ("RandomCrop: {self: 1, height: 3, width: 3}", 16, "RandomCrop.self", NO_SUCH),
        ("RandomCrop: {width: 3, height: -1}", 34, "RandomCrop.height", "should be greater than or equal to 1, not -1"),
        ("RandomCrop: {width: 3}", 3, "RandomCrop.height", "is missing"),
        ("RandomCrop: {height: big, width: 3}", 24, "RandomCrop.height", "should be a whole number, not 'big'"),
        ("RandomCrop: {height: [3], width: 3}", 24, "RandomCrop.height", "should be a whole number"),
        ("HorizontalFlip: {p: 2}", 23, "HorizontalFlip.p", "should be less than or equal to 1, not 2"),
        ("HorizontalFlip: {p: yes}", 23, "HorizontalFlip.p", "should be a number, not 'yes'"),
        ("RandomCrop: 5", 15, "RandomCrop", "should be a mapping of keys to values, not 5"),
        ("RandomCrop: [5]", 15, "RandomCrop", "should be a mapping of keys to values"),
        ("Pad: {border_mode: reflekt}", 22, "Pad.border_mode", f"{BORDERS}, not 'reflekt'; did you mean 'reflect'?"),
        ("Pad: {border_mode: 17}", 22, "Pad.border_mode", f"{BORDERS}, not 17"),
        (
            "Resize: {height: 3, width: 3, interpolation: qubic}",
            48,
            "Resize.interpolation",
            "should be one of 'nearest', 'linear', 'cubic', 'area', 'lanczos4', 'linear_exact', 'nearest_exact', "
            "not 'qubic'; did you mean 'cubic'?",
        ),
        (
            "Erasing: {fill: black}",
            19,
            "Erasing.fill",
            "should be a list, or a number, or 'random', 'random_uniform', 'inpaint_telea' or 'inpaint_ns', "
            "not 'black'",
        ),
        (
            "CoarseDropout: {num_holes_range: [1, 2, 3]}",
            36,
            "CoarseDropout.num_holes_range",
            "should have at most 2 items, and has 3",
        ),
        (
            "CoarseDropout: {num_holes_range: [3, 1]}",
            36,
            "CoarseDropout.num_holes_range",
            "First value should be less than the second value, got (3, 1) instead",
        ),
        ("Compose: {transforms: []}", 3, "Compose", NONE),
        ("Horizontalflip", 3, "", f"{NONE}; did you mean 'HorizontalFlip'?"),
        ("''", 3, "", NONE),
        *[(entry, 3, "", SHAPE) for entry in ("5", "null", "[]", "{}", "[HorizontalFlip]")],
        ("{HorizontalFlip: {p: 1}, VerticalFlip: {p: 1}}", 3, "", SHAPE),
    ],
)
def test_each_mistake_in_its_place(entry: str, column: int, key: str, message: str) -> None:
    (found,) = problems(f"- HorizontalFlip\n- {entry}")
    assert found == (f"2:{column}", f"1.{key}".rstrip("."), message)


@pytest.mark.parametrize("name", ["BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"])
def test_what_transforms_derive_from_is_no_transform(name: str) -> None:
    ((where, _, message),) = problems(f"- {name}")
    assert where == "1:3"
    assert message.startswith(NONE)


@pytest.mark.parametrize(
    "entry", ["Normalize", "Normalize: {mean: [0, 0, 0]}", "ToTensorV2: {}", "ToFloat: {max_value: 255}", "FromFloat"]
)
def test_the_engine_normalises_and_the_pipeline_does_not(entry: str) -> None:
    ((where, _, message),) = problems(f"- {entry}")
    assert where == "1:3"
    assert message.startswith("leave it out: images are normalised after the pipeline")


def test_all_of_them_at_once_in_the_order_of_the_file() -> None:
    augment = """\
- RandomCropp: {height: 32, width: 32}
- RandomCrop:
    heigth: 32
    widht: 32
- HorizontalFlip
- RandomCrop: {}
- PadIfNeeded:
    min_height: 40
    border_mode: no
    min_width: -1
- Normalize
- HorizontalFlip: {p: 0.5}
  VerticalFlip: {p: 0.5}"""
    assert [(where, key) for where, key, _ in problems(augment)] == [
        ("1:3", "0.RandomCropp"),
        ("3:5", "1.RandomCrop.heigth"),
        ("4:5", "1.RandomCrop.widht"),
        ("6:3", "3.RandomCrop.height"),
        ("6:3", "3.RandomCrop.width"),
        ("9:18", "4.PadIfNeeded.border_mode"),
        ("10:16", "4.PadIfNeeded.min_width"),
        ("11:3", "5"),
        ("12:3", "6"),
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [("5", ", not 5"), ("HorizontalFlip", ", not 'HorizontalFlip'"), ("{}", "")]
)
def test_a_pipeline_is_a_list(value: str, shown: str) -> None:
    ((where, _, message),) = problems(value)
    assert (where, message) == ("1:1", f"should be a list of Albumentations transforms{shown}")


def test_an_override_is_named() -> None:
    recipe = Recipe.parse(RECIPE.format(augment="    - HorizontalFlip"))
    with pytest.raises(RecipeError) as caught:
        recipe.with_set(["dataset.augment=[HorizontalFlipp]"])
    (problem,) = caught.value.problems
    assert problem.where == "--set dataset.augment=[HorizontalFlipp]"
    with pytest.raises(RecipeError, match=r"RandomCrop\.1: RandomCrop has no such argument"):
        recipe.with_set({"dataset.augment": [{"RandomCrop": {1: 2}}]})  # keys that YAML cannot have


# What is right


@pytest.mark.parametrize("mode", ["reflect_101", "REFLECT_101", "BORDER_REFLECT_101", "cv2.BORDER_REFLECT_101", 4])
def test_opencvs_constants_by_name(mode: Any) -> None:
    (step,) = check([{"PadIfNeeded": {"min_height": 4, "min_width": 4, "border_mode": mode}}])
    (transform,) = compose([step]).transforms
    assert transform.border_mode == 4
    assert step == {
        "PadIfNeeded": {"min_height": 4, "min_width": 4, "border_mode": mode}
    }  # the lock says it as the recipe


@pytest.mark.parametrize(
    ("name", "number"), [("constant", 0), ("replicate", 1), ("reflect", 2), ("wrap", 3), ("reflect_101", 4)]
)
def test_each_border_mode_is_opencvs(name: str, number: int) -> None:
    import cv2

    assert getattr(cv2, f"BORDER_{name.upper()}") == number
    (transform,) = compose(check([{"PadIfNeeded": {"border_mode": name}}])).transforms
    assert transform.border_mode == number


@pytest.mark.parametrize("name", ["nearest", "linear", "cubic", "area", "lanczos4", "linear_exact", "nearest_exact"])
def test_each_interpolation_is_opencvs(name: str) -> None:
    import cv2

    (transform,) = compose(check([{"Resize": {"height": 4, "width": 4, "interpolation": name}}])).transforms
    assert transform.interpolation == getattr(cv2, f"INTER_{name.upper()}")


def test_the_full_form() -> None:
    class Options(BaseModel):
        augment: Pipeline = []

    given = ["HorizontalFlip", {"VerticalFlip": None}, {"Affine": {"scale": {"x": [0.9, 1.1]}, "rotate": [-5, 5]}}]
    full = Options(augment=given).augment
    assert full == [{"HorizontalFlip": {}}, {"VerticalFlip": {}}, given[2]]
    assert Options(augment=full).augment == full
    assert Options.model_validate_json(Options(augment=given).model_dump_json()).augment == full
    with pytest.raises(ValidationError, match="no transform of this name"):
        Options(augment=["Nope"])


def test_a_brace_in_a_message_is_a_brace() -> None:
    ((_, _, message),) = problems("- '{x}'")
    assert message == "Albumentations has no transform of this name"
    ((_, key, message),) = problems("- RandomCrop: {'{height}': 3}")
    assert key == "0.RandomCrop.{height}"
    assert message == "RandomCrop has no such argument; did you mean 'height'?"


@pytest.mark.parametrize("name", ["NoOp", "HorizontalFlip", "ColorJitter", "CoarseDropout"])
def test_transforms_can_go_by_their_name(name: str) -> None:
    rehearse(compose(check([name])), (8, 8))


# The rehearsal


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"RandomCrop": {"height": 40, "width": 40}}], "the transforms fail on an image of 32x32 pixels: "),
        ([{"Lambda": {"image": 5}}], "the transforms fail on an image of 32x32 pixels: "),
        ([{"RandomScale": {"scale_limit": [0.2, 0.5]}}], "the transforms give images of different sizes ("),
        ([{"RandomCrop": {"height": 24, "width": 24, "p": 0.5}}], "the transforms give images of different sizes ("),
    ],
)
def test_what_cannot_be_applied_is_met_at_once(steps: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        rehearse(compose(check(steps)), (32, 32))


def test_a_rehearsal_is_the_same_every_time() -> None:
    """Whether a recipe is refused does not depend on chance."""
    pipeline = compose(check([{"RandomCrop": {"height": 2, "width": 2, "p": 0.02}}]))
    outcomes = set()
    for _ in range(5):
        try:
            rehearse(pipeline, (4, 4))
            outcomes.add("fine")
        except ValueError:
            outcomes.add("refused")
    assert len(outcomes) == 1


def test_not_an_image_is_refused() -> None:
    def float_image(image: Any) -> dict[str, Any]:
        return {"image": image.astype(np.float32)}

    float_image.set_random_seed = lambda seed: None  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"the transforms give float32 \(8, 8, 3\), not uint8"):
        rehearse(float_image, (8, 8))


# The import

PROBE = """
import os, socket, sys
before = dict(os.environ)
def refuse(*args, **kwargs):
    print("CONNECTED", args)
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import xaitool.data.pipeline
from xaitool.data.transforms import albumentations
assert "albumentations" not in sys.modules, "imported too early"
module = albumentations()
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
print(module.__name__)
"""


def test_importing_albumentations_asks_no_network_and_leaves_the_environment() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("albumentations\n", 0), done.stderr


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "0")
    before = dict(os.environ)
    assert albumentations() is albumentations()
    assert dict(os.environ) == before
