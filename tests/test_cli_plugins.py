"""``xaitool plugins list`` and ``show``, and the data that they print."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pluggy
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from xaitool import Config, Recipe, hookspecs
from xaitool.cli import main
from xaitool.component_help import description, flow, options, snippet
from xaitool.errors import ComponentError, RecipeError
from xaitool.plugin_listing import find, rows
from xaitool.plugins import Catalog, Offer, catalog, collect
from xaitool.recipe import library
from xaitool.recipe.source import parse

SUMMARY = "edges of the image, found by a filter that has been known for longer than any network has been trained"
EDGES = f"""
from xaitool import Component, hookimpl

@hookimpl
def xaitool_explainers():
    return [Component("edges", config="json.nowhere:Config", factory="json.nowhere:build", summary="{SUMMARY}")]
"""
OBSERVER = """
from xaitool import hookimpl

@hookimpl
def xaitool_run_started(run, recipe): ...

@hookimpl
def xaitool_stage_finished(run, stage, record): ...
"""
BROKEN = "raise RuntimeError('the wrong version\\nof something')"
LABELS = {offer.full_name: offer for offer in catalog().offers}


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], EntryPoint]]:
    """Make the entry point `main` of a distribution, in version 1.5, whose plugin is the given code."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(distribution: str, code: str) -> EntryPoint:
        module = f"{distribution}_plugin"
        info = tmp_path / f"{distribution}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[xaitool]\nmain = {module}\n")
        (tmp_path / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        made.append(module)
        (found,) = PathDistribution(info).entry_points
        return found

    yield make
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line, with a catalog of one's own; exit status, output and error output."""

    def run(*arguments: str, there: Catalog | None = None) -> tuple[int, str, str]:
        if there:
            monkeypatch.setattr("xaitool.plugins.catalog", lambda: there)
        try:
            main(list(arguments))
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def test_list_shows_every_component_by_kind_and_name(call: Any) -> None:
    status, text, complaints = call("plugins", "list")
    assert (status, complaints) == (0, "")
    header, *lines = text.splitlines()
    assert header.split() == ["KIND", "NAME", "FROM", "STATE"]
    shown = [tuple(line.split()[:5]) for line in lines]
    for offer in catalog().offers:
        plugin = offer.plugin
        assert (offer.kind, offer.component.name, plugin.distribution, plugin.version, "ok") in shown
    kinds = [kind for kind, *_ in shown]
    order = ["dataset", "model", "scheduler", "explainer", "metric", "observer", "plugin"]
    assert kinds == sorted(kinds, key=order.index)
    assert [name for kind, name, *_ in shown if kind == "scheduler"] == ["cosine", "lr_finder_onecycle", "onecycle"]
    column = header.index("FROM")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)


def test_list_shows_plugins_that_offer_nothing_too(point: Any, call: Any) -> None:
    points = [point("zeta", BROKEN), point("acme", EDGES), point("watch", OBSERVER), point("lazy", EDGES)]
    there = collect(points, disabled=["lazy"])
    status, text, _ = call("plugins", "list", there=there)
    assert status == 0
    assert [" ".join(line.split()) for line in text.splitlines()[1:]] == [
        f"explainer edges acme 1.5 ok {SUMMARY}",  # not cut, as this is no terminal
        "observer main watch 1.5 ok observes run_started, stage_finished",
        "plugin main lazy 1.5 disabled: left out by XAITOOL_PLUGINS_DISABLED",
        "plugin main zeta 1.5 broken: RuntimeError: the wrong version of something",
    ]


def test_in_a_terminal_summaries_are_cut_and_reasons_are_not(
    point: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xaitool.cli.plugins._terminal_width", lambda: 80)
    there = collect([point("zeta", "raise RuntimeError('" + "long " * 30 + "')"), point("acme", EDGES)])
    _, text, _ = call("plugins", "list", there=there)
    _, component, broken = text.splitlines()
    assert len(component) <= 80
    assert component.endswith("…")
    assert "edges of the image" in component
    assert broken.count("long") == 30


def test_an_ambiguous_name_is_listed_in_full(point: Any, call: Any) -> None:
    there = collect([point("acme", EDGES), point("other", EDGES)])
    assert [row.name for row in rows(there)] == ["acme/edges", "other/edges"]
    status, _, complaint = call("plugins", "show", "edges", there=there)
    assert status == 2
    assert "write one of acme/edges, other/edges" in complaint


def test_json_has_all_fields(point: Any, call: Any) -> None:
    there = collect([point("acme", EDGES), point("zeta", BROKEN)])
    component, broken = json.loads(call("plugins", "list", "--json", there=there)[1])
    assert component == {
        "kind": "explainer",
        "name": "edges",
        "full_name": "acme/edges",
        "distribution": "acme",
        "version": "1.5",
        "summary": SUMMARY,
        "state": "ok",
        "reason": "",
        "entry_point": "acme/main",
        "module": "acme_plugin",
        "warnings": [],
    }
    assert (broken["kind"], broken["state"]) == ("", "broken")
    assert broken["reason"] == "RuntimeError: the wrong version\nof something"


def test_warnings_follow_the_table(point: Any, call: Any) -> None:
    specs = ModuleType("specs")
    vars(specs).update({name: each for name, each in vars(hookspecs).items() if name.startswith("xaitool_")})

    @pluggy.HookspecMarker("xaitool")(warn_on_impl=DeprecationWarning("use xaitool_run_finished"))
    def xaitool_run_started(run: Any, recipe: Any) -> None: ...

    specs.xaitool_run_started = xaitool_run_started  # type: ignore[attr-defined]
    there = collect([point("watch", OBSERVER)], specs=specs)
    status, text, _ = call("plugins", "list", there=there)
    assert status == 0
    assert text.splitlines()[-1] == "warning: watch/main: use xaitool_run_finished"


def test_show_tells_what_a_user_needs(call: Any) -> None:
    status, text, complaints = call("plugins", "show", "gradcam")
    assert (status, complaints) == (0, "")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "kind explainer",
        "full name xaitool/gradcam",
        "code xaitool_gradcam.explainers:build_gradcam",
        "Options of the methods that look at layers.",
        "batch_size whole number >= 1 32",
        "Images explained at a time.",
    ):
        assert line in lines
    assert f"gradcam (xaitool {LABELS['xaitool/gradcam'].plugin.version})" in text
    assert text.endswith("In a recipe:\n\nexplain:\n  methods:\n    - use: gradcam\n")
    assert max(map(len, text.splitlines())) <= 120


def test_required_options_are_said_to_be(call: Any) -> None:
    text = call("plugins", "show", "xaitool/cosine")[1]
    assert ["max_lr", "number", ">", "0", "required"] in [line.split() for line in text.splitlines()]
    assert text.endswith("train:\n  scheduler:\n    use: cosine\n    max_lr: 0.1\n")


def test_show_as_json_is_the_schema(call: Any) -> None:
    schema = json.loads(call("plugins", "show", "cosine", "--json")[1])
    assert schema["required"] == ["max_lr"]
    assert schema["additionalProperties"] is False


def test_an_unknown_name_gets_a_suggestion_from_any_kind(point: Any, call: Any) -> None:
    status, text, complaint = call("plugins", "show", "gradcan")
    assert (status, text) == (2, "")
    assert complaint == "error: there is no component 'gradcan' in any plugin; did you mean 'gradcam'?\n"
    there = collect([point("zeta", BROKEN)])
    with pytest.raises(ComponentError, match=r"`xaitool plugins list` shows .*plugin main \(zeta 1\.5\) is broken"):
        find(there, "edges")


def test_a_config_that_cannot_be_imported_names_its_plugin(point: Any, call: Any) -> None:
    status, text, complaint = call("plugins", "show", "edges", there=collect([point("acme", EDGES)]))
    assert (status, text) == (2, "")
    assert complaint == (
        "error: plugin main (acme 1.5) failed in describing its options: edges: "
        "No module named 'json.nowhere' (ModuleNotFoundError)\n"
    )


CONFIG = """
from pydantic import Field
from xaitool import Component, Config as Base, hookimpl

print("imported")

class Config(Base):
    "Options of the edges."
    w: int = Field(ge=1, description="Width.")

@hookimpl
def xaitool_explainers():
    return [Component("edges", config="acme_plugin:Config", factory="acme_plugin:build", example={example})]
"""


def test_an_example_that_does_not_pass_is_not_shown_as_a_recipe(point: Any, call: Any) -> None:
    there = collect([point("acme", CONFIG.replace("{example}", "{'w': 0, 'nope': 1}"))])
    status, text, _ = call("plugins", "show", "edges", there=there)
    assert status == 0
    assert (
        "Its example is wrong, so none is shown; tell its author: "
        "w: should be greater than or equal to 1; nope: extra inputs are not permitted\n"
    ) in text
    assert text.endswith("    - use: edges\n      w:  # fill in: whole number >= 1\n")


def test_an_example_that_leaves_options_to_fill_in_is_not_wrong(point: Any, call: Any) -> None:
    there = collect([point("acme", CONFIG.replace("{example}", "{}"))])
    _, text, _ = call("plugins", "show", "edges", there=there)
    assert "wrong" not in text
    assert text.endswith("      w:  # fill in: whole number >= 1\n")


def test_short_options_stand_below_their_head(point: Any, call: Any) -> None:
    _, text, _ = call("plugins", "show", "edges", there=collect([point("acme", CONFIG.replace("{example}", "{}"))]))
    lines = text.splitlines()
    (head,) = [line for line in lines if line.startswith("OPTION")]
    (row,) = [line for line in lines if line.startswith("w ")]
    assert (head.index("TYPE"), head.index("DEFAULT")) == (row.index("whole"), row.index("required"))


def test_what_a_plugin_and_its_config_print_is_not_in_the_json(
    point: Any, call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    there = collect([point("acme", CONFIG.replace("{example}", "{}"))])
    assert capsys.readouterr().out == ""
    sys.modules.pop("acme_plugin")
    status, text, complaints = call("plugins", "show", "edges", "--json", there=there)
    assert (status, json.loads(text)["required"], complaints) == (0, ["w"], "imported\n")


def test_a_name_that_may_be_left_out_is_said_to_be(point: Any) -> None:
    there = collect([point("acme", EDGES), point("other", EDGES)], disabled=["acme", "other"])
    with pytest.raises(ComponentError, match=r"; left out by XAITOOL_PLUGINS_DISABLED: acme/main, other/main$"):
        find(there, "edges")
    with pytest.raises(ComponentError, match=r"; left out by XAITOOL_PLUGINS_DISABLED: acme/main$"):
        find(there, "acme/edges")


def test_a_name_that_two_kinds_have_needs_the_kind(point: Any, call: Any) -> None:
    both = EDGES + EDGES.replace("explainers", "metrics")
    there = collect([point("acme", both)])
    status, _, complaint = call("plugins", "show", "edges", there=there)
    assert status == 2
    assert "'edges' is offered as explainer and as metric; add --kind explainer" in complaint
    assert find(there, "edges", "metric").kind == "metric"
    assert find(there, "Acme/edges", "explainer").kind == "explainer"


class Part(Config):
    """Part of the options below."""

    low: int = Field(1, le=1_000_000, description="Lowest.")
    high: int = Field(description="Highest.")


class Many(Config):
    """One option of each sort."""

    word: str = Field("a b", pattern="^a", description="A word.")
    way: Literal["up", "down"] = Field("up", description="A way.")
    only: Literal[3] = Field(3, description="Three.")
    sure: bool = Field(description="Whether.")
    even: int = Field(4, ge=2, multiple_of=2, description="Even.")
    pair: tuple[int, str] = Field((1, "x"), description="A pair.")
    rates: list[Annotated[float, Field(gt=0)]] = Field(
        [0.1], min_length=2, description="Rates.", validate_default=False
    )
    table: dict[str, int] = Field({}, description="A table.")
    anything: Any = Field(None, description="Anything.")
    part: Part = Field(Part(high=7), description="A part.")
    maybe: Part | None = Field(None, description="Perhaps a part.")
    size: int | Literal["auto"] = Field("auto", alias="the-size", description="A size.")


def test_options_are_told_in_words() -> None:
    told = [(each.name, each.type, each.default) for each in options(Many.model_json_schema(by_alias=True))]
    assert told == [
        ("word", "text that matches ^a", '"a b"'),
        ("way", "one of 'up', 'down'", "up"),
        ("only", "3", "3"),
        ("sure", "true or false", "required"),
        ("even", "whole number >= 2 (multiple of 2)", "4"),
        ("pair", "list of 2 items: whole number, text", "[1, x]"),
        ("rates", "list of at least 2 numbers > 0", "[0.1]"),
        ("table", "mapping", "{}"),
        ("anything", "anything", "null"),
        ("part", "mapping", ""),
        ("part.low", "whole number <= 1000000", "1"),
        ("part.high", "whole number", "7"),
        ("maybe", "mapping or null", "null"),
        ("maybe.low", "whole number <= 1000000", "1"),
        ("maybe.high", "whole number", "required"),
        ("the-size", "whole number or 'auto'", "auto"),
    ]


class Tree(Config):
    """A mapping that may hold another of its sort."""

    branch: Tree | None = Field(None, description="A branch.")


def test_options_within_themselves_come_to_an_end() -> None:
    schema = Tree.model_json_schema()
    assert [(each.name, each.type) for each in options(schema)] == [("branch", "mapping or null")]
    assert description(schema) == "A mapping that may hold another of its sort."


def in_a_recipe(text: str) -> str:
    """The quickstart with that part of it replaced."""
    recipe = yaml.safe_load(library.locate("quickstart").read_text())
    ((key, value),) = yaml.safe_load(text).items()
    recipe[key] = {**recipe[key], **value} if key in ("train", "explain") else value
    return yaml.safe_dump(recipe)


@pytest.mark.parametrize("offer", [pytest.param(each, id=f"{each.kind}-{each.full_name}") for each in catalog().offers])
def test_what_show_suggests_passes_the_recipe_check(offer: Offer, call: Any) -> None:
    status, text, _ = call("plugins", "show", offer.full_name, "--kind", offer.kind)
    assert status == 0
    checked = Recipe.parse(in_a_recipe(text.partition("In a recipe:\n\n")[2]), allow_code=True)
    (found,) = [each for each in checked.components if each.offer == offer]
    given = found.config.model_dump(mode="json", by_alias=True)
    assert {key: given[key] for key in offer.component.example} == dict(offer.component.example)


def test_what_only_the_user_knows_is_left_to_fill_in() -> None:
    schema = LABELS["xaitool/onecycle"].component.load_config().model_json_schema()
    text = snippet("scheduler", "onecycle", {}, schema)
    assert text.splitlines()[-1] == "    max_lr:  # fill in: number > 0"
    with pytest.raises(RecipeError, match=r"train\.scheduler\.max_lr: should be a number, not null") as caught:
        Recipe.parse(in_a_recipe(text))
    assert len(caught.value.problems) == 1


WORDS = st.text(max_size=20) | st.sampled_from(["true", "null", "1e5", "$HOME", "${HOME}", "a: b", "x" * 200])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_a_value_in_one_line_is_read_back_as_it_is(value: Any) -> None:
    line = f"x: {flow(value)}"
    assert "\n" not in line
    assert parse(line, "test", {}).data["x"] == value


def modules_after(*arguments: str) -> set[str]:
    program = f"from xaitool.cli import main; main({list(arguments)}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--json"], *(["show", each.full_name, "--kind", each.kind] for each in catalog().offers)],
    ids=lambda arguments: "-".join(arguments).replace("/", "."),
)
def test_list_and_show_import_no_implementation(arguments: list[str]) -> None:
    found = modules_after("plugins", *arguments)
    assert found & {"torch", "torchvision", "timm", "albumentations", "pytorch_grad_cam", "captum"} == set()
    factories = {offer.component.factory.partition(":")[0] for offer in catalog().offers}
    assert found & factories == set()


def test_help_has_examples_and_fits_a_terminal(call: Any) -> None:
    for arguments in ([], ["list"], ["show"], ["new"]):
        text = call("plugins", *arguments, "--help")[1]
        assert max(map(len, text.splitlines())) <= 80
        assert "\\b" not in text
        assert not arguments or "    xaitool plugins" in text
