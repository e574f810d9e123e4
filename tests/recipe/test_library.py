"""The recipes that come with xaitool, their schema, and the commands that show and check them."""

from __future__ import annotations

import json
import operator
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xaitool.cli import main
from xaitool.component import KINDS, Kind
from xaitool.errors import RecipeError
from xaitool.plugins import catalog
from xaitool.recipe import library
from xaitool.recipe.json_schema import json_schema
from xaitool.recipe.resolve import Recipe

NAMES = library.names()
WRONG = "recipe: 1\nname: t\ndataset: shapez\nmodel: resnet18\ntrain: {epochs: 0, scheduler: lr_finder_onecycle}\n"


def said(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, output and error output of the command line."""
    try:
        main(list(arguments))
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    output = capsys.readouterr()
    return status, output.out, output.err


# Which there are


def test_the_recipes_that_the_documentation_speaks_of_are_there() -> None:
    assert {"cifar10_cpu", "quickstart", "resnet18_cifar10", "resnet18_cifar10_tutorial"} <= set(NAMES)
    assert sorted(NAMES) == NAMES
    assert all(library.headline(name) for name in NAMES)


def test_the_reference_says_what_it_is_known_for() -> None:
    recipe = Recipe.load("resnet18_cifar10")
    train = recipe.settings.train
    assert (train.epochs, train.batch_size, train.label_smoothing) == (20, 128, 0.1)
    assert [each.offer.full_name for each in recipe.components] == [
        "xaitool/cifar10",
        "xaitool/resnet18",
        "xaitool/lr_finder_onecycle",
        "xaitool/gradcam",
        "xaitool/gradcam++",
        "xaitool/abpc",
        "xaitool/randomisation",
        "xaitool/mass_in_mask",
    ]
    assert recipe.settings.explain.targets == ("predicted", "true")


def test_a_name_a_path_and_a_text_are_the_same_recipe(tmp_path: Path) -> None:
    by_name = Recipe.load("quickstart")
    file = tmp_path / "mine.yaml"
    file.write_text(by_name.source.text)
    assert Recipe.load(str(file)).resolved() == Recipe.load(file).resolved() == by_name.resolved()
    assert Recipe.parse(by_name.source.text).resolved() == by_name.resolved()


def test_a_folder_of_the_same_name_does_not_hide_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("quickstart").settings.name == "quickstart"
    with pytest.raises(RecipeError, match=r"^mine: cannot be read: Is a directory$"):
        Recipe.load("mine")


def test_a_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").write_text(Recipe.load("quickstart").source.text.replace("seed: 1", "seed: 7"))
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("quickstart").settings.seed == 7


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("quickstrat", "quickstrat: there is no such file, and no recipe of this name; did you mean 'quickstart'?"),
        ("§", f"§: there is no such file, and no recipe of this name; xaitool comes with {', '.join(NAMES)}"),
        ("", "^.: cannot be read: Is a directory$"),
        ("a\0b", "there is no such file"),
        ("x" * 5000, "cannot be read: File name too long"),
        (Path("nowhere.yaml"), "nowhere.yaml: cannot be read: No such file or directory"),
        (Path("quickstart"), "quickstart: cannot be read: No such file or directory"),  # a path is a path
    ],
)
def test_what_is_not_there(recipe: str | Path, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe)
    assert re.search(message.replace("?", "[?]"), str(caught.value))


# The JSON schema: as much of a validator as the schemas that pydantic makes need


def complaints(value: Any, schema: Any, root: Any) -> list[str]:
    """What is wrong with a value, by a JSON schema (draft 2020-12); a keyword it does not know is an error."""
    if "$ref" in schema:
        assert schema["$ref"].startswith("#/$defs/")
        return complaints(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    found: list[str] = []
    for keyword, said in schema.items():
        match keyword:
            case "$schema" | "$defs" | "title" | "description" | "default" | "discriminator" | "properties":
                pass
            case "items" | "prefixItems" | "additionalProperties":
                pass
            case "type":
                kinds = said if isinstance(said, list) else [said]
                found += [] if any(_is(value, kind) for kind in kinds) else [f"{value!r} is no {said}"]
            case "enum":
                found += [] if value in said else [f"{value!r} is none of {said}"]
            case "const":
                found += [] if value == said else [f"{value!r} is not {said}"]
            case "anyOf" | "oneOf":
                fits = sum(not complaints(value, each, root) for each in said)
                found += [] if (fits >= 1 if keyword == "anyOf" else fits == 1) else [f"{value!r} fits {fits}"]
            case "required":
                found += [f"{key} is missing" for key in said if isinstance(value, dict) and key not in value]
            case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf":
                found += (
                    [f"{value!r} {keyword} {said}"] if _is(value, "number") and not _fits(value, keyword, said) else []
                )
            case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "pattern":
                found += [f"{value!r} {keyword} {said}"] if _measured(value, keyword, said) else []
            case _:
                raise AssertionError(f"unknown keyword {keyword}")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [each for key in value.keys() & known.keys() for each in complaints(value[key], known[key], root)]
        others = schema.get("additionalProperties", True)
        for key in value.keys() - known.keys():
            found += [f"{key} is unknown"] if others is False else []
            found += complaints(value[key], others, root) if isinstance(others, dict) else []
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        found += [each for item, said in zip(value, first, strict=False) for each in complaints(item, said, root)]
        rest = schema.get("items", {})
        found += [each for item in value[len(first) :] for each in complaints(item, rest, root)]
    return found


def _is(value: Any, kind: str) -> bool:
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "null": type(None),
        "integer": int,
        "number": (int, float),
    }
    return isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _fits(value: float, keyword: str, bound: float) -> bool:
    compared = {
        "minimum": operator.ge,
        "maximum": operator.le,
        "exclusiveMinimum": operator.gt,
        "exclusiveMaximum": operator.lt,
        "multipleOf": lambda number, factor: number % factor == 0,
    }
    return bool(compared[keyword](value, bound))


def _measured(value: Any, keyword: str, bound: Any) -> bool:
    if keyword == "pattern":
        return isinstance(value, str) and not re.search(bound, value)
    if not isinstance(value, {"Length": str, "Items": list, "Properties": dict}[keyword[3:]]):
        return False
    return len(value) < bound if keyword.startswith("min") else len(value) > bound


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_recipes_are_as_the_schema_says(name: str, schema: dict[str, Any]) -> None:
    recipe = Recipe.load(name)
    assert complaints(recipe.source.data, schema, schema) == []  # with `true` among the targets, which is a boolean
    assert complaints(json.loads(json.dumps(recipe.resolved())), schema, schema) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sede", 1),
        ("name", "a b"),
        ("train.epochs", 0),
        ("train.optimizer.name", "sdg"),
        ("train.optimizer.betas", [0.9, 0.99]),
        ("train.scheduler.use", "lr_finder"),
        ("dataset.use", "shapez"),
        ("dataset.sizes", 3),
        ("model.stem", "cifr"),
        ("model.layers", [1, 1, 1, "x"]),
        ("explain.methods.0", {"use": "gradcam", "layer": []}),
        ("explain.methods.0", "gradcamm"),
    ],
)
def test_the_schema_finds_what_is_wrong(path: str, value: Any, schema: dict[str, Any]) -> None:
    data = Recipe.load("quickstart", set={"explain.targets": ["predicted"]}).resolved()
    assert complaints(data, schema, schema) == []
    holder: Any = data
    *outer, last = path.split(".")
    for part in outer:
        holder = holder[int(part) if isinstance(holder, list) else part]
    holder[int(last) if isinstance(holder, list) else last] = value
    assert complaints(data, schema, schema)


def test_every_component_and_every_option_is_in_the_schema(schema: dict[str, Any]) -> None:
    for kind in KINDS:
        slots = schema["$defs"][kind]["anyOf"]
        assert slots[0]["enum"] == [
            *[offer.component.name for offer in catalog().of_kind(kind)],
            *[offer.full_name for offer in catalog().of_kind(kind)],
        ]
        for offer, slot in zip(catalog().of_kind(kind), slots[1:], strict=True):
            assert slot["properties"]["use"]["enum"] == [offer.component.name, offer.full_name]
            assert slot["required"][0] == "use"
            assert slot["additionalProperties"] is False
            fields = offer.component.load_config().model_fields
            own = {"explainer": {"use", "as", "smooth"}, "metric": {"use", "as"}}.get(kind, {"use"})
            assert slot["properties"].keys() - own == {field.alias or name for name, field in fields.items()}
            assert all("description" in slot["properties"][name] for name in fields), offer.full_name


def test_the_schema_stands_by_itself(schema: dict[str, Any]) -> None:
    """Every reference is to something in it, and it holds nothing that nothing refers to."""
    text = json.dumps(schema)
    assert set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', text)) == set(schema["$defs"])
    assert schema["required"] == ["recipe", "name", "dataset", "model"]
    assert schema["additionalProperties"] is False


# The commands


@pytest.mark.parametrize("name", NAMES)
def test_recipe_check_of_a_good_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said("recipe", "check", name, capsys=capsys)
    assert (status, err) == (0, "")
    assert out.endswith("\n")
    assert f"{name}.yaml: fine; it uses xaitool/" in out


def test_recipe_check_of_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(WRONG)
    status, out, err = said("recipe", "check", str(file), "--set", "seed=-1", capsys=capsys)
    assert (status, out) == (2, "")
    first, dataset, epochs, seed = err.splitlines()
    assert first == "error:"
    assert dataset.startswith(f"{file}:3:10: dataset.use: ")
    assert dataset.endswith("; did you mean 'shapes'?")
    assert epochs == f"{file}:5:17: train.epochs: should be greater than or equal to 1, not 0"
    assert seed == "--set seed=-1: seed: should be greater than or equal to 0, not -1"


def test_recipe_check_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said("recipe", "check", capsys=capsys)
    assert (status, out) == (2, "")
    assert "Missing argument 'RECIPE'" in err


def test_a_run_of_a_bad_recipe_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = said("run", "quickstart", "--set", "train.epochs=none", capsys=capsys)
    assert (status, out) == (2, "")
    assert err == "error: --set train.epochs=none: train.epochs: should be a whole number, not 'none'\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_recipe_show_prints_the_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said("recipe", "show", name, capsys=capsys) == (0, library.locate(name).read_text(encoding="utf-8"), "")


def test_recipe_show_resolved_prints_what_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text, _ = said("recipe", "show", "quickstart", "--set", "train.epochs=3", capsys=capsys)
    assert (status, text) == (0, Recipe.load("quickstart", set=["train.epochs=3"]).to_yaml())
    file = tmp_path / "lock.yaml"
    file.write_text(text)
    assert said("recipe", "show", str(file), "--resolved", capsys=capsys) == (0, text, "")


def test_recipe_show_of_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(WRONG)
    assert said("recipe", "show", str(file), capsys=capsys) == (0, WRONG, "")  # as it is, to be mended
    assert said("recipe", "show", str(file), "--resolved", capsys=capsys)[0] == 2


def test_recipe_list(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said("recipe", "list", capsys=capsys)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == NAMES
    assert all(library.headline(name) in out for name in NAMES)
    assert max(map(len, out.splitlines())) <= 80


def test_recipe_schema(schema: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said("recipe", "schema", capsys=capsys)
    assert (status, json.loads(out)) == (0, schema)


def test_what_is_shown_can_be_checked_from_the_shell(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "xaitool", "recipe"]
    shown = subprocess.run([*program, "show", "quickstart"], capture_output=True, cwd=tmp_path, check=True)
    piped = subprocess.run(
        [*program, "check", "/dev/stdin"], input=shown.stdout, capture_output=True, cwd=tmp_path, check=True
    )
    assert piped.stdout.decode().startswith("/dev/stdin: fine; it uses xaitool/shapes, ")
    (tmp_path / "mine.yaml").write_text(WRONG)
    wrong = subprocess.run([*program, "check", "mine.yaml"], capture_output=True, cwd=tmp_path, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error:\nmine.yaml:3:10: dataset.use: ")
    assert "Traceback" not in wrong.stderr


def test_every_kind_has_something_to_offer_in_the_schema() -> None:
    kinds: tuple[Kind, ...] = ("dataset", "model", "scheduler", "explainer")
    assert all(catalog().of_kind(kind) for kind in kinds)
