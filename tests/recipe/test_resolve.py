"""A recipe's mistakes, all at once and each in its place; and the lock, which says the same again."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaitool.building import build
from xaitool.component import Component, Kind
from xaitool.errors import ComponentError, PluginError, Problem, RecipeError
from xaitool.plugins import Catalog, Offer, Plugin, catalog
from xaitool.recipe import json_schema, library, resolve
from xaitool.recipe.lock import dump
from xaitool.recipe.resolve import Recipe
from xaitool.recipe.source import parse

GOOD = """\
recipe: 1
name: t
dataset: {use: shapes, train: 100}
model: {use: resnet18, stem: cifar}
train:
  epochs: 1
  optimizer: {name: sgd, momentum: 0.5}
  scheduler: {use: lr_finder_onecycle, start_lr: 1e-4}
explain:
  select: {misclassified: 3}
  methods: [gradcam, {use: gradcam++}]
"""


def problems(text: str, *assignments: str) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeError) as caught:
        resolve.resolve(resolve.override(parse(text, "r.yaml", {}), assignments))
    return [(problem.where.removeprefix("r.yaml:"), problem.key, problem.message) for problem in caught.value.problems]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def the_problem(old: str, new: str) -> tuple[str, str, str]:
    (found,) = problems(changed(old, new))
    return found


def test_what_is_good_is_good() -> None:
    recipe = Recipe.parse(GOOD)
    assert recipe.settings.train.epochs == 1
    assert recipe.dataset.config.model_dump()["train"] == 100
    assert recipe.settings.train.model_dump()["optimizer"]["momentum"] == 0.5
    assert [each.label for each in recipe.explainers] == ["gradcam", "gradcam++"]


# All at once, in the order of the file


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
recipe: 1
name: t
sede: 3
dataset: {use: shapez}
modle: {use: resnet18, stem: cifar}
model: {use: resnet18, stem: cifr, pretraind: true}
train:
  epochs: 0
  epoch: 3
  optimizer: {name: adamw, momentum: 0.9, nesterov: true}
  scheduler: {use: lr_finder_onecycle, star_lr: 1}
  ema: 5
explain:
  select: {missclassified: 3, correct: -1}
  targets: [predicted, true, 5]
  methods: [gradcam, gradcam, {use: gradcam++, layer: [a]}, {use: gradcamm}, 5]
report: {htlm: true}
runtime: {device: gpu, workers: many}
"""
    found = problems(text)
    assert [(where, key) for where, key, _ in found] == [
        ("3:1", "sede"),
        ("4:16", "dataset.use"),
        ("5:1", "modle"),
        ("6:30", "model.stem"),
        ("6:36", "model.pretraind"),
        ("8:11", "train.epochs"),
        ("9:3", "train.epoch"),
        ("10:28", "train.optimizer.momentum"),
        ("10:43", "train.optimizer.nesterov"),
        ("11:40", "train.scheduler.star_lr"),
        ("12:8", "train.ema"),
        ("14:12", "explain.select.missclassified"),
        ("14:40", "explain.select.correct"),
        ("15:30", "explain.targets.2"),
        ("16:22", "explain.methods.1"),
        ("16:48", "explain.methods.2.layer"),
        ("16:67", "explain.methods.3.use"),
        ("16:78", "explain.methods.4"),
        ("17:10", "report.htlm"),
        ("18:19", "runtime.device"),
        ("18:33", "runtime.workers"),
    ]


def test_the_order_is_that_of_lines_not_of_text() -> None:
    """Line 10 is after line 9."""
    text = "recipe: 1\nname: t\ndataset: shapes\n" + "\n" * 5 + "x: 1\ny: 2\nmodel: resnet18\nmodul: 1\n"
    assert [where for where, _, _ in problems(text)] == ["9:1", "10:1", "12:1"]


def test_problems_of_overrides_come_last_and_name_them() -> None:
    found = problems(changed("name: t", "name: 't t'"), "train.epochs=0", "dataset.trian=5", "model.stem=cifr")
    assert [(where, key) for where, key, _ in found] == [
        ("2:7", "name"),
        ("--set train.epochs=0", "train.epochs"),
        ("--set dataset.trian=5", "dataset.trian"),
        ("--set model.stem=cifr", "model.stem"),
    ]
    assert found[2][2] == "unknown key; did you mean 'train'?"


def test_overrides_given_as_values_are_named_too() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(GOOD).with_set({"train.epochs": "many", "explain.methods": ["gradcam", "gradcam"]})
    assert [(each.where, each.key) for each in caught.value.problems] == [
        ('set["train.epochs"]', "train.epochs"),
        ('set["explain.methods"]', "explain.methods.1"),
    ]


# Keys that are not known, at each level


@pytest.mark.parametrize(
    ("old", "new", "where", "key", "message"),
    [
        ("name: t", "name: t\nsede: 1", "3:1", "sede", "unknown key; did you mean 'seed'?"),
        ("  epochs: 1", "  epochs: 1\n  batchsize: 8", "7:3", "train.batchsize", "; did you mean 'batch_size'?"),
        ("momentum: 0.5", "momentun: 0.5", "7:26", "train.optimizer.momentun", "; did you mean 'momentum'?"),
        ("momentum: 0.5", "betas: [0.9, 0.99]", "7:26", "train.optimizer.betas", "unknown key (there are decay_"),
        ("sgd, momentum: 0.5", "adamw, beta: [1, 1]", "7:28", "train.optimizer.beta", "; did you mean 'betas'?"),
        ("sgd, momentum", "adamw, momentum", "7:28", "train.optimizer.momentum", "unknown key (there are betas, "),
        ("misclassified", "missclassified", "10:12", "explain.select.missclassified", "mean 'misclassified'?"),
        ("train: 100", "trian: 100", "3:24", "dataset.trian", "; did you mean 'train'?"),
        ("stem:", "stemm:", "4:24", "model.stemm", "; did you mean 'stem'?"),
        ("start_lr", "zzz", "8:40", "train.scheduler.zzz", "unknown key (there are "),
        ("gradcam++}", "gradcam++, layer: [a]}", "11:39", "explain.methods.1.layer", "; did you mean 'layers'?"),
    ],
)
def test_unknown_keys(old: str, new: str, where: str, key: str, message: str) -> None:
    found = the_problem(old, new)
    assert found[:2] == (where, key)
    assert message in found[2]
    assert found[2].startswith("unknown key")


def test_the_keys_offered_are_those_of_the_optimizer_that_was_chosen() -> None:
    sgd = the_problem("momentum: 0.5", "zzz: 1")[2]
    assert sgd == "unknown key (there are decay_norms_and_biases, momentum, name, nesterov, weight_decay)"
    adamw = the_problem("sgd, momentum: 0.5", "adamw, zzz: 1")[2]
    assert adamw == "unknown key (there are betas, decay_norms_and_biases, name, weight_decay)"


# Keys that are missing, and values of the wrong type

SELECT, SGD, SECOND = "select: {misclassified: 3}", "{name: sgd, momentum: 0.5}", "{use: gradcam++}"
QUOTE = "; if it is meant as a text, quote it"
COMPONENT = "should be a component's name, or a mapping with 'use' and its options"


@pytest.mark.parametrize(
    ("old", "new", "where", "key", "message"),
    [
        ("name: t\n", "", "1:1", "name", "is missing"),
        ("recipe: 1\n", "", "1:1", "recipe", "is missing"),
        ("  epochs: 1\n", "", "5:1", "train.epochs", "is missing"),
        ("use: shapes, ", "", "3:1", "dataset.use", "is missing"),
        ("sgd", "sdg", "7:21", "train.optimizer.name", "should be 'sgd' or 'adamw', not 'sdg'; did you mean 'sgd'?"),
        ("sgd", "[sgd]", "7:21", "train.optimizer.name", "should be 'sgd' or 'adamw'"),
        (SGD, "sgd", "7:14", "train.optimizer", "should be a mapping of keys to values, not 'sgd'"),
        ("recipe: 1", "recipe: 2", "1:9", "recipe", "should be 1, not 2"),
        ("recipe: 1", "recipe: '1'", "1:9", "recipe", "should be 1, not '1'"),
        ("epochs: 1", "epochs: many", "6:11", "train.epochs", "should be a whole number, not 'many'"),
        ("epochs: 1", "epochs: 1.5", "6:11", "train.epochs", "should be a whole number, not 1.5"),
        ("epochs: 1", "epochs: null", "6:11", "train.epochs", "should be a whole number, not null"),
        ("epochs: 1", "epochs: [1]", "6:11", "train.epochs", "should be a whole number"),
        ("0.5", ".inf", "7:36", "train.optimizer.momentum", "should be a finite number, not inf"),
        ("0.5", ".nan", "7:36", "train.optimizer.momentum", "should be a finite number, not nan"),
        ("0.5", "0.5, nesterov: so", "7:51", "train.optimizer.nesterov", "should be true or false, not 'so'"),
        (SELECT, "select: 3", "10:11", "explain.select", "should be a mapping of keys to values, not 3"),
        (SELECT, "targets: true", "10:12", "explain.targets", "should be a list, not true"),
        (SELECT, "targets: []", "10:12", "explain.targets", "should have at least 1 item, and has 0"),
        (SELECT, "targets: [3]", "10:13", "explain.targets.0", f"should be a text, not 3{QUOTE}"),
        (SGD, "{name: adamw, betas: [0.9]}", "7:35", "train.optimizer.betas", "has too few items"),
        (
            SGD,
            "{name: adamw, betas: [0, 0, 0]}",
            "7:35",
            "train.optimizer.betas",
            "should have at most 2 items, and has 3",
        ),
        (
            ": t",
            ": t\nruntime: {workers: so}",
            "3:20",
            "runtime.workers",
            "should be a whole number, or 'auto', not 'so'",
        ),
        (
            ": t",
            ": t\nruntime: {workers: -1}",
            "3:20",
            "runtime.workers",
            "should be greater than or equal to 0, or 'auto', not -1",
        ),
        (
            SECOND,
            "{use: gradcam++, layers: layer2}",
            "11:47",
            "explain.methods.1.layers",
            "should be 'auto', or a list such as [layer2], not 'layer2'",
        ),
        (
            SECOND,
            "{use: gradcam++, layers: [9]}",
            "11:48",
            "explain.methods.1.layers.0",
            f"should be a text, not 9{QUOTE}",
        ),
        ("methods: [gradcam, {use: gradcam++}]", "methods: a", "11:12", "explain.methods", "should be a list, not 'a'"),
        (SECOND, "null", "11:22", "explain.methods.1", f"{COMPONENT}, not null"),
        (SECOND, "[]", "11:22", "explain.methods.1", COMPONENT),
        (SECOND, "''", "11:22", "explain.methods.1", "should not be empty"),
        (SECOND, "{use: 5}", "11:28", "explain.methods.1.use", f"should be a text, not 5{QUOTE}"),
        (SECOND, "{layers: []}", "11:22", "explain.methods.1.use", "is missing"),
        ("stem: cifar", "stem: [cifar]", "4:30", "model.stem", "should be 'cifar' or 'imagenet'"),
    ],
)
def test_missing_keys_and_wrong_values(old: str, new: str, where: str, key: str, message: str) -> None:
    assert the_problem(old, new) == (where, key, message)


def test_what_a_component_says_of_its_options_together() -> None:
    where, key, message = the_problem("stem: cifar", "stem: cifar, pretrained: true")
    assert (where, key) == ("4:8", "model")
    assert message.startswith("there are no pretrained weights for the cifar stem")


def test_words_to_choose_from_are_suggested() -> None:
    found = the_problem("name: t\n", "name: t\nruntime: {device: CUDA}\n")
    assert found[2] == "should be 'auto', 'cpu', 'cuda' or 'mps', not 'CUDA'; did you mean 'cuda'?"


@pytest.mark.parametrize("name", ["a b", "", ".hidden", "a/b", "../x", "x" * 101, "ä", "a\nb", "a\n"])
def test_a_name_makes_a_folder_name(name: str) -> None:
    (found,) = problems(changed("name: t", f"name: {json.dumps(name)}"))
    assert found[:2] == ("2:7", "name")
    assert found[2].startswith(("should match the pattern", "string should have at most 100 characters"))


def test_pydantics_follow_on_complaints_are_left_out() -> None:
    """A list whose items are wrong is not "too short" as well."""
    text = changed("{use: resnet18, stem: cifar}", "{use: timm, layers: [a, 1, 1, b], widths: [8, 8, 8, 8]}")
    assert [(where, key) for where, key, _ in problems(text)] == [
        ("4:29", "model.layers.0"),
        ("4:38", "model.layers.3"),
    ]


# Components


@pytest.mark.parametrize(
    ("old", "new", "where", "key", "hint"),
    [
        ("use: shapes", "use: shapez", "3:16", "dataset.use", "did you mean 'shapes'?"),
        ("use: shapes", "use: XAItool/Shapes", "3:16", "dataset.use", "did you mean 'xaitool/shapes'?"),
        (
            "{use: shapes, train: 100}",
            "zzz",
            "3:10",
            "dataset.use",
            "there are cifar10, image_folder, shapes, torchvision",
        ),
        ("{use: resnet18, stem: cifar}", "shapes", "4:8", "model.use", ""),  # of another kind
        ("use: lr_finder_onecycle", "use: onecycl", "8:20", "train.scheduler.use", "did you mean 'onecycle'?"),
        ("[gradcam,", "[gradcamm,", "11:13", "explain.methods.0.use", "did you mean 'gradcam'?"),
    ],
)
def test_components_that_there_are_not(old: str, new: str, where: str, key: str, hint: str) -> None:
    found = the_problem(old, new)
    assert found[:2] == (where, key)
    assert hint in found[2]


def offered_by(distribution: str, kind: Kind, name: str) -> Offer:
    (found,) = [offer for offer in catalog().of_kind(kind) if offer.component.name == name]
    return replace(found, plugin=Plugin(f"{distribution}/x", distribution, "7"))


def test_an_ambiguous_name_is_an_error_that_lists_the_full_names(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = replace(catalog(), offers=(*catalog().offers, offered_by("other", "dataset", "shapes")))
    monkeypatch.setattr(resolve, "catalog", lambda: twice)
    where, key, message = problems(GOOD)[0]
    assert (where, key) == ("3:16", "dataset.use")
    assert "other/shapes, xaitool/shapes" in message
    recipe = Recipe.parse(changed("use: shapes", "use: other/shapes"))
    assert recipe.dataset.offer.plugin.version == "7"
    assert recipe.resolved()["dataset"]["use"] == "other/shapes"
    assert recipe.resolved()["locked"]["distributions"] == {
        "other": "7",
        "xaitool": recipe.resolved()["locked"]["xaitool"],
    }


def test_a_component_that_cannot_be_imported_is_its_plugins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Component("broken", config="xaitool_nowhere:Config", factory="xaitool_nowhere:build")
    offers = (*catalog().offers, Offer("dataset", broken, Plugin("other/x", "other", "7")))
    monkeypatch.setattr(resolve, "catalog", lambda: Catalog((), offers, catalog().manager))
    with pytest.raises(Exception, match=r"plugin x \(other 7\) failed in the recipe check: broken: No module named"):
        Recipe.parse(changed("{use: shapes, train: 100}", "broken"))


def test_a_config_that_takes_anything_is_its_plugins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    lax = Component("lax", config="pydantic:BaseModel", factory="xaitool_nowhere:build")
    offers = (*catalog().offers, Offer("dataset", lax, Plugin("other/x", "other", "7")))
    monkeypatch.setattr(resolve, "catalog", lambda: Catalog((), offers, catalog().manager))
    blame = (
        r"plugin x \(other 7\) failed in the recipe check: lax: pydantic:BaseModel should be a subclass of xaitool.Conf"
    )
    with pytest.raises(PluginError, match=blame):
        Recipe.parse(changed("{use: shapes, train: 100}", "{use: lax, typo: 1}"))


def test_the_schema_leaves_out_what_cannot_be_described_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Component("broken", config="xaitool_nowhere:Config", factory="xaitool_nowhere:build")
    offers = (*catalog().offers, Offer("dataset", broken, Plugin("other/x", "other", "7")))
    monkeypatch.setattr(json_schema, "catalog", lambda: Catalog((), offers, catalog().manager))
    warned: list[str] = []
    names = json_schema.json_schema(warned.append)["$defs"]["dataset"]["anyOf"][0]["enum"]
    assert "shapes" in names
    assert not {"broken", "other/broken"} & set(names)
    (warning,) = warned
    assert warning.startswith("plugin x (other 7) failed in describing its options: broken: No module named")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("judge: {images: 20}", "it takes explain.judge.images of 30 at least, for a verdict"),
        ("metrics: []", "there is no metric in explain.metrics that could tell"),
    ],
)
def test_a_requirement_that_cannot_be_met_is_a_mistake_with_a_place(change: str, message: str) -> None:
    before = "  select: {misclassified: 3}\n"
    assert the_problem(before, f"{before}  require: [faithful]\n  {change}\n") == ("11:3", "explain.require", message)
    assert Recipe.parse(changed(before, f"{before}  {change}\n")).settings.explain.require == ()


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        (
            "explainer",
            "gradcam",
            {"layer": 3},
            r"^explainer 'gradcam': layer: unknown option; did you mean 'layers'",
        ),
        (
            "explainer",
            "gradcam",
            {"layers": "layer2"},
            r"^[^:]*: layers: should be 'auto', or a list such as \[layer2\]$",
        ),
        ("explainer", "gradcam", {"layers": [9]}, r"^[^:]*: layers\.0: should be a text; if it is meant as"),
        ("scheduler", "onecycle", {"max_lr": "much"}, r"^scheduler 'onecycle': max_lr: should be a number"),
        (
            "explainr",
            "gradcam",
            {},
            r"^there is no kind 'explainr'; did you mean 'explainer'\?; there are dataset",
        ),
    ],
)
def test_a_program_is_told_its_mistakes_as_a_recipe_is(
    kind: Any, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        build(kind, name, **options)


def test_a_bare_name_is_the_component_with_its_defaults() -> None:
    bare = Recipe.parse(changed("{use: shapes, train: 100}", "shapes"))
    assert bare.resolved() == Recipe.parse(changed("{use: shapes, train: 100}", "{use: xaitool/shapes}")).resolved()
    assert bare.dataset.label == "shapes"


def test_methods_have_labels() -> None:
    recipe = Recipe.parse(changed("{use: gradcam++}", "{use: gradcam, as: early, layers: [layer1]}"))
    assert [each.label for each in recipe.explainers] == ["gradcam", "early"]
    assert recipe.resolved()["explain"]["methods"][1]["as"] == "early"
    assert "as" not in type(recipe.explainers[1].config).model_fields


@pytest.mark.parametrize("label", ["a b", "''", "/", "5", "[a]", "'..'"])
def test_labels_make_file_names(label: str) -> None:
    found = the_problem("{use: gradcam++}", f"{{use: gradcam++, as: {label}}}")
    assert found[:2] == ("11:43", "explain.methods.1.as")


def test_repeated_labels_are_reported_where_they_are_repeated() -> None:
    text = changed("[gradcam, {use: gradcam++}]", "[gradcam, {use: gradcam++, as: gradcam}, gradcam++, gradcam]")
    message = "another one is 'gradcam' already (r.yaml:11:13); tell them apart with as: gradcam-2"
    assert problems(text) == [("11:22", "explain.methods.1", message), ("11:64", "explain.methods.3", message)]


def test_true_among_the_targets_is_a_word() -> None:
    recipe = Recipe.parse(changed("  select:", "  targets: [predicted, true, runner_up, circle]\n  select:"))
    assert recipe.settings.explain.targets == ("predicted", "true", "runner_up", "circle")
    assert Recipe.parse(recipe.to_yaml()).settings.explain.targets == recipe.settings.explain.targets
    assert "- 'true'" in recipe.to_yaml()


def test_options_are_checked_even_where_the_rest_is_wrong() -> None:
    text = "dataset: {use: shapes, size: big}\ntrain: {scheduler: {use: lr_finder_onecycle, x: 1}}\n"
    assert [key for _, key, _ in problems(text)] == [
        "recipe", "name", "model", "dataset.size", "train.epochs", "train.scheduler.x",
    ]  # fmt: skip


# The lock


@pytest.mark.parametrize("name", library.names())
def test_the_lock_of_a_shipped_recipe_says_the_same_again(name: str) -> None:
    recipe = Recipe.load(name)
    again = Recipe.parse(recipe.to_yaml())
    assert again.resolved() == recipe.resolved()
    assert again.to_yaml() == recipe.to_yaml()
    assert again.settings.model_dump(exclude={"locked", "dataset", "model", "train", "explain"}) == (
        recipe.settings.model_dump(exclude={"locked", "dataset", "model", "train", "explain"})
    )
    assert [each.config for each in again.components] == [each.config for each in recipe.components]
    assert all("/" in each["use"] for each in again.resolved()["explain"]["methods"])
    assert again.settings.locked is not None


def test_the_lock_names_what_it_was_made_with() -> None:
    locked = Recipe.parse(GOOD).resolved()["locked"]
    assert set(locked["distributions"]) == {"xaitool"}
    assert locked["packages"].keys() >= {"torch", "timm", "albumentations"}
    assert "not installed" not in locked["packages"].values()


TRICKY = [
    *["yes", "no", "1e-3", "1e999", "${X}", "$$", "$", "${", " a: b", "012", "0x1F", "null", "~", "true", "1:30"],
    *["2024-01-01", "a #b", "- a", "{a}", "a\nb", "a\n", "'", '"', "!!str", "&a", "*a", "\t", "<<", "=", "..."],
    *["\x85", "a\u2028b", "\ufeff", "😀", "é", "1" * 2000, "x " * 200, " lead", "trail ", "\x7f", "a\rb", "%a", "@"],
]  # fmt: skip


@pytest.mark.parametrize("text", TRICKY)
def test_any_text_comes_back_from_the_lock(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)
    recipe = Recipe.load("resnet18_cifar10", set={"dataset.root": text, "explain.targets": [text, "predicted"]})
    again = Recipe.parse(recipe.to_yaml())
    root = again.dataset.config.model_dump()["root"]
    assert root == recipe.dataset.config.model_dump()["root"]
    assert root.endswith(text)
    assert again.settings.explain.targets == (text, "predicted")
    assert again.to_yaml() == recipe.to_yaml()


def test_an_empty_text_comes_back_where_it_may_be() -> None:
    data = {"a": "", "b": ["", {"": ""}]}
    assert parse(dump(data), "lock", {}).data == data


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, min_size=1, max_size=4))
def test_any_data_come_back_from_yaml(data: dict[str, Any]) -> None:
    assert json.dumps(parse(dump(data), "lock", {"X": "x"}).data) == json.dumps(data)


def test_variables_are_resolved_in_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAITOOL_DATA", "/a$b/${c}")
    recipe = Recipe.load("resnet18_cifar10")
    monkeypatch.delenv("XAITOOL_DATA")
    assert Recipe.parse(recipe.to_yaml()).resolved()["dataset"]["root"] == "/a$b/${c}"


# Anything at all

SHIPPED = {name: Recipe.load(name).source.data for name in library.names()}
KEYS = st.text(max_size=8) | st.sampled_from(
    ["use", "as", "name", "train", "optimizer", "layers", "p", "augment", "RandomCrop", "Lambda", "scheduler", "locked"]
)
VALUES = PLAIN | st.sampled_from(
    [{"use": "gradcam"}, "shapes", [5], -1, 1e300, "lr_finder_onecycle", {"name": "adamw"}]
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) there is."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in ((data, key), *_places(value))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SHIPPED)), st.data())
def test_a_recipe_is_good_or_a_recipe_error(name: str, draw: st.DataObject) -> None:
    data = copy.deepcopy(SHIPPED[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        holder, key = draw.draw(st.sampled_from(_places(data) or [(data, "name")]))
        match draw.draw(st.sampled_from(["drop", "replace", "insert", "rename"])):
            case "drop":
                del holder[key]
            case "replace":
                holder[key] = copy.deepcopy(draw.draw(VALUES))
            case "insert" if isinstance(holder, dict):
                holder[draw.draw(KEYS)] = copy.deepcopy(draw.draw(VALUES))
            case "insert":
                holder.insert(key, copy.deepcopy(draw.draw(VALUES)))
            case "rename" if isinstance(holder, dict):
                holder[draw.draw(KEYS)] = holder.pop(key)
    recipe, found = outcome(dump(data))
    if recipe:
        assert Recipe.parse(recipe.to_yaml()).to_yaml() == recipe.to_yaml()
    else:
        assert found
        assert all(each.where.startswith("mutant.yaml") and each.message for each in found)


def outcome(text: str) -> tuple[Recipe | None, tuple[Problem, ...]]:
    """The recipe, or what is wrong with it; anything else that comes out is a failure."""
    try:
        return Recipe.parse(text, "mutant.yaml"), ()
    except RecipeError as error:
        return None, error.problems


@pytest.mark.parametrize("value", ["null", "[]", "5", "text", "true", "[{}]", "{}", "[null]", "{a: 1}"])
@pytest.mark.parametrize("key", ["dataset", "model", "train", "explain", "runtime", "report", "locked"])
def test_anything_may_stand_where_a_section_should(key: str, value: str) -> None:
    data = {**parse(GOOD, "r.yaml", {}).data, key: parse(f"v: {value}", "r.yaml", {}).data["v"]}
    recipe, found = outcome(dump(data))
    fine = (value == "{}" and key in ("explain", "runtime", "report")) or (
        key in ("locked", "train") and value == "null"
    )
    assert (recipe is not None) == fine
    assert all(each.key.startswith(key) for each in found)


def test_a_file_is_named_as_the_user_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r: 1:2.yaml").write_text(changed("epochs: 1", "epochs: 0"))
    with pytest.raises(RecipeError, match=r"^r: 1:2\.yaml:6:11: train\.epochs: "):
        Recipe.load("r: 1:2.yaml")
