"""Discovery: every plugin by itself, each component with its owner."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from xaitool.component import Component
from xaitool.errors import ComponentError, PluginError, XaitoolError
from xaitool.plugins import Catalog, Offer, Plugin, catalog, collect

GOOD = """
from xaitool.component import Component
from xaitool.hookspecs import hookimpl

@hookimpl
def xaitool_explainers():
    return [Component("edges", config="nowhere:Config", factory="nowhere:build")]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make an entry point of a distribution that has the given module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(distribution: str, module: str, code: str, name: str = "main") -> EntryPoint:
        info = tmp_path / f"{distribution}-1.5.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[xaitool]\n{name} = {module}\n")
        (tmp_path / f"{module}.py").write_text(code)
        made.append(module)
        (point,) = PathDistribution(info).entry_points
        return point

    yield make
    for module in made:
        sys.modules.pop(module, None)


def test_the_built_in_plugins_come_in_through_the_same_door() -> None:
    found = {(offer.kind, offer.full_name) for offer in catalog().offers}
    assert {
        ("dataset", "xaitool/cifar10"),
        ("dataset", "xaitool/shapes"),
        ("model", "xaitool/resnet18"),
        ("model", "xaitool/timm"),
        ("scheduler", "xaitool/lr_finder_onecycle"),
        ("scheduler", "xaitool/onecycle"),
        ("scheduler", "xaitool/cosine"),
        ("explainer", "xaitool/gradcam"),
        ("explainer", "xaitool/gradcam++"),
    } <= found
    assert [plugin for plugin in catalog().plugins if plugin.error] == []
    assert all(offer.component.summary for offer in catalog().offers)
    for offer in catalog().offers:
        fields = offer.component.load_config().model_fields
        assert [name for name, field in fields.items() if not field.description] == []
        assert callable(offer.component.load_factory())


def test_a_third_party_plugin_is_found(plugin: Any) -> None:
    found = collect([plugin("acme", "acme_plugin", GOOD)])
    (offer,) = found.offers
    assert (offer.kind, offer.full_name) == ("explainer", "acme/edges")
    assert str(offer.plugin) == "main (acme 1.5)"
    assert found.find("explainer", "edges") is offer
    assert found.find("explainer", "acme/edges") is offer


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (GOOD.replace('"edges"', '"ed ges"'), "ValueError: component name 'ed ges'"),
        (GOOD.replace("nowhere:Config", "nowhere"), "ValueError: config of component 'edges'"),
        (GOOD.replace("return [", "return [["), "SyntaxError"),
        (GOOD.replace("return [", "return ['edges'] or ["), "where a Component is needed"),
        (GOOD.replace("xaitool_explainers()", "xaitool_explainers(nonsense)"), "PluginValidationError"),
    ],
)
def test_a_broken_plugin_stops_no_other(plugin: Any, code: str, reason: str) -> None:
    found = collect([plugin("broken", "broken_plugin", code), plugin("acme", "acme_plugin", GOOD)])
    bad, good = found.plugins
    assert bad.error
    assert reason in bad.error
    assert good.error is None
    assert [offer.full_name for offer in found.offers] == ["acme/edges"]
    with pytest.raises(ComponentError, match=r"no explainer 'x' .*plugin main \(broken 1\.5\) is broken"):
        found.find("explainer", "x")
    assert list(found.observe(None, "data", {})) == []


def test_two_distributions_with_the_same_entry_point_name(plugin: Any) -> None:
    found = collect([plugin("acme", "acme_plugin", GOOD), plugin("other", "other_plugin", GOOD)])
    assert found.find("explainer", "other/edges").plugin.distribution == "other"
    with pytest.raises(ComponentError, match="offered more than once; write one of acme/edges, other/edges"):
        found.find("explainer", "edges")


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ComponentError, match=r"there is no explainer 'gradcan' .*; did you mean 'gradcam'\?"):
        catalog().find("explainer", "gradcan")
    with pytest.raises(ComponentError, match=r"there are cifar10, shapes"):
        catalog().find("dataset", "zzz")


def test_observers_see_each_stage_and_cannot_end_the_run(plugin: Any) -> None:
    observer = """
from xaitool.hookspecs import hookimpl
seen = []

@hookimpl
def xaitool_stage_finished(run, stage, record):
    seen.append((run, stage, record))
    if stage == "fit":
        raise RuntimeError("no disk")
"""
    found = collect([plugin("acme", "acme_plugin", GOOD), plugin("watch", "watch_plugin", observer)])
    assert list(found.observe("folder", "data", {"images": 3})) == []
    ((name, error),) = found.observe("folder", "fit", {})
    assert (name, str(error)) == ("watch/main", "no disk")
    assert sys.modules["watch_plugin"].seen[0] == ("folder", "data", {"images": 3})


def test_failures_are_blamed_on_the_plugin() -> None:
    offer = Offer("model", Component("net", "a:B", "a:b"), Plugin("acme/main", "acme", "1.5"))
    with (
        pytest.raises(PluginError, match=r"plugin main \(acme 1\.5\) failed in fit: net: division"),
        offer.blamed("fit"),
    ):
        _ = 1 / 0
    with pytest.raises(XaitoolError, match=r"^for the user$"), offer.blamed("fit"):
        raise XaitoolError("for the user")


def test_catalog_is_made_once() -> None:
    assert isinstance(catalog(), Catalog)
    assert catalog() is catalog()
