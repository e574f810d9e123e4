"""Discovery: every plugin by itself, each component with its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path
from typing import Any

import pluggy
import pytest

from xaitool import tracing
from xaitool.component import KINDS, Component
from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import Display
from xaitool.errors import ComponentError, PluginError, XaitoolError
from xaitool.plugins import Catalog, Offer, Plugin, catalog, collect

GOOD = """
from xaitool.component import Component
from xaitool.hookspecs import hookimpl

@hookimpl
def xaitool_explainers():
    return [Component("edges", config="json.nowhere:Config", factory="json.nowhere:build")]
"""


def with_(argument: str) -> str:
    """GOOD, with another argument of the component."""
    return GOOD.replace(':build")', f':build", {argument})')


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
        (GOOD.replace("json.nowhere:Config", "nowhere"), "ValueError: config of component 'edges'"),
        (GOOD.replace('"edges"', "None"), "ValueError: component name None"),
        (GOOD.replace('"json.nowhere:build"', "build"), "NameError"),
        (GOOD.replace('"json.nowhere:build"', "print"), "ValueError: factory of component 'edges'"),
        (with_("summary=None"), "ValueError: summary of component 'edges' must be one line of text, not None"),
        (with_("summary='a\\nb'"), "must be one line of text, not 'a\\nb'"),
        (with_("example=None"), "ValueError: example of component 'edges' must be a mapping of options, not None"),
        (with_("example={1: 2}"), "must be a mapping of options, not {1: 2}"),
        (with_("example={'a': {1, 2}}"), "must have JSON types only: Object of type set is not JSON serializable"),
        (with_("example={'a': float('nan')}"), "must have JSON types only: Out of range float"),
        (GOOD.replace("json.nowhere:build", "nowhere_at.all:build"), "the factory of 'edges' is in 'nowhere_at', and"),
        (
            GOOD.replace("json.nowhere:Config", "nowhere:Config"),
            "the config of 'edges' is in 'nowhere', and there is no",
        ),
        (GOOD.replace("return [", "return [["), "SyntaxError"),
        (GOOD.replace("return [", "return ['edges'] or ["), "where a Component is needed"),
        (GOOD.replace("xaitool_explainers()", "xaitool_explainers(nonsense)"), "PluginValidationError"),
        (GOOD.replace("xaitool_explainers()", "xaitool_explainer()"), "did you mean 'xaitool_explainers'?"),
        (GOOD.replace("@hookimpl", ""), "it has no hooks; is a function's @hookimpl missing?"),
        (GOOD.replace("return [", "return 2 * ["), "it offers the explainer 'edges', which main (broken 1.5) offers"),
        (
            GOOD + "xaitool_api_version = 2",
            "written for version 2 of the hooks, and this xaitool has 1; update xaitool",
        ),
        (GOOD + "xaitool_api_version = 0", "and this xaitool has 1; update the plugin"),
        (GOOD + "xaitool_api_version = 'one'", "version 'one' of the hooks"),
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
    assert list(found.observe("xaitool_stage_finished", run=None, stage="data", record={})) == []


def test_a_supported_version_of_the_hooks_is_fine(plugin: Any) -> None:
    (found,) = collect([plugin("acme", "acme_plugin", GOOD + "xaitool_api_version = 1")]).plugins
    assert (found.error, found.warnings, found.hooks) == (None, (), ("xaitool_explainers",))


def test_the_name_of_a_distribution_is_compared_as_installers_do(plugin: Any) -> None:
    found = collect([plugin("My_Plugin", "my_plugin", GOOD)])
    assert found.find("explainer", "my-plugin/edges") is found.find("explainer", "My.Plugin/edges")
    assert found.offers[0].full_name == "my-plugin/edges"


def test_one_distribution_offers_a_name_once(plugin: Any) -> None:
    first = plugin("acme", "acme_plugin", GOOD)
    second = plugin("acme", "acme_again", GOOD, name="again")
    found = collect([first, second])
    assert found.plugins[1].error == "it offers the explainer 'edges', which main (acme 1.5) offers already"
    assert found.find("explainer", "edges").plugin.name == "acme/main"


@pytest.mark.parametrize("disabled", ["acme", "ACME", "acme/main"])
def test_a_plugin_that_is_left_out_is_not_even_imported(plugin: Any, disabled: str) -> None:
    points = [plugin("acme", "acme_plugin", "raise SystemExit"), plugin("other", "other_plugin", GOOD)]
    found = collect(points, [disabled])
    assert [(each.disabled, each.error) for each in found.plugins] == [(True, None), (False, None)]
    assert "acme_plugin" not in sys.modules
    with pytest.raises(ComponentError, match=r"; left out by XAITOOL_PLUGINS_DISABLED: acme/main$"):
        found.find("explainer", "corners")


def test_a_full_name_is_told_only_of_its_own_distribution(plugin: Any) -> None:
    found = collect([plugin("broken", "broken_plugin", "1 / 0"), plugin("acme", "acme_plugin", GOOD)])
    with pytest.raises(ComponentError, match=r"broken/edges.*plugin main \(broken 1\.5\) is broken: ZeroDivisionError"):
        found.find("explainer", "broken/edges")
    with pytest.raises(ComponentError) as raised:
        found.find("explainer", "acme/corners")
    assert "broken" not in str(raised.value)


def test_plugins_that_are_left_out_are_told_together(plugin: Any) -> None:
    points = [plugin("acme", "acme_plugin", GOOD), plugin("other", "other_plugin", GOOD)]
    found = collect(points, ["acme", "other"])
    with pytest.raises(
        ComponentError, match=r"any plugin; left out by XAITOOL_PLUGINS_DISABLED: acme/main, other/main$"
    ):
        found.find("explainer", "edges")


def test_leaving_out_what_is_not_there_is_warned_of(plugin: Any, caplog: pytest.LogCaptureFixture) -> None:
    collect([plugin("acme", "acme_plugin", GOOD)], ["ACME", "acme/main", "acne"])
    assert [record.getMessage() for record in caplog.records] == [
        "XAITOOL_PLUGINS_DISABLED: there is no plugin 'acne'; did you mean 'acme'?"
    ]


def listed(*site: Path) -> list[str]:
    """Every plugin that is not xaitool's own, where these folders are on the path."""
    program = "from xaitool.plugins import catalog\nfor p in catalog().plugins: print(p, p.error, sep=': ')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, site))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    there = done.stdout.splitlines()
    assert "shapes" in done.stdout
    return [line for line in there if "(xaitool" not in line]


def test_what_is_left_of_a_distribution_is_a_broken_plugin_and_no_more(plugin: Any, tmp_path: Path) -> None:
    plugin("acme", "acme_plugin", GOOD)
    (tmp_path / "acme-1.5.dist-info/METADATA").unlink()
    assert listed(tmp_path) == [
        "main (acme 1.5): its installation has no METADATA that can be read; install acme again, or remove what is "
        "left of it"
    ]


def test_a_malformed_list_of_entry_points_breaks_its_own_distribution_only(plugin: Any, tmp_path: Path) -> None:
    plugin("acme", "acme_plugin", GOOD)
    (tmp_path / "acme-1.5.dist-info/entry_points.txt").write_text("[xaitool]\ngarbage\n")
    plugin("other", "other_plugin", GOOD)
    (tmp_path / "other-1.5.dist-info/entry_points.txt").write_text("[console_scripts]\ngarbage\n")
    (line,) = listed(tmp_path)  # the other one has nothing to do with xaitool
    assert line.startswith("entry_points.txt (acme 1.5): its entry_points.txt cannot be read (")
    assert line.endswith("; install acme again")


def test_the_first_distribution_of_a_name_on_the_path_counts(plugin: Any, tmp_path: Path) -> None:
    plugin("acme", "acme_plugin", GOOD)
    shadow = tmp_path / "first"
    (shadow / "Acme-2.0.dist-info").mkdir(parents=True)
    (shadow / "Acme-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: Acme\nVersion: 2.0\n")
    assert listed(tmp_path) == ["main (acme 1.5): None"]
    assert listed(shadow, tmp_path) == []


def test_what_a_plugin_prints_is_no_output_of_ours(plugin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    chatty = "print('imported')\n" + GOOD.replace("    return", "    print('called')\n    return")
    (found,) = collect([plugin("acme", "acme_plugin", chatty)]).plugins
    assert found.error is None
    assert capsys.readouterr() == ("", "imported\ncalled\n")


def test_the_environment_leaves_plugins_out() -> None:
    program = "from xaitool.plugins import catalog; print(*(p.name for p in catalog().plugins if p.disabled))"
    for value, expected in [("xaitool/timm, xaitool/shapes", "xaitool/shapes xaitool/timm"), ("", "")]:
        environment = {**os.environ, "XAITOOL_PLUGINS_DISABLED": value}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert sorted(done.stdout.split()) == expected.split(), done.stderr


def test_every_hook_call_is_traced_on_request() -> None:
    program = "from xaitool.plugins import catalog; catalog()"
    for value, expected in [("1", True), ("0", False)]:
        environment = {**os.environ, "XAITOOL_TRACE_PLUGINS": value}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert ("trace: xaitool/shapes: xaitool_datasets() -> [[Component(name='shapes'" in done.stderr) is expected


def test_a_traced_hook_that_raises_is_told_too(
    plugin: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XAITOOL_TRACE_PLUGINS", "1")
    with caplog.at_level("INFO", logger="xaitool.trace"):
        collect([plugin("acme", "acme_plugin", GOOD.replace("return [", "1 / 0; return ["))])
    assert "acme/main: xaitool_explainers() raised ZeroDivisionError('division by zero')" in caplog.text


def test_the_trace_is_shown_once_and_logged_once(
    plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XAITOOL_TRACE_PLUGINS", "1")
    monkeypatch.setattr(tracing.log, "handlers", [])  # an earlier test's writes to an earlier test's standard error
    folder = RunFolder(tmp_path)
    with folder.logging(), Display().relaying():
        found = collect(
            [plugin("watch", "watch_plugin", GOOD.replace("xaitool_explainers()", "xaitool_run_started(run)"))]
        )
        list(found.observe("xaitool_run_started", run=folder, recipe={}))
    told = f"watch/main: xaitool_run_started(run=RunFolder({str(tmp_path)!r}), recipe={{}})"
    assert capsys.readouterr().err.count(told) == 1
    assert (tmp_path / "run.log").read_text().count(told) == 1


class NextYearsSpecs:
    """Hook specs in which one hook, and one argument of another, are to go, and an argument has been added."""

    spec = pluggy.HookspecMarker("xaitool")
    gone = DeprecationWarning("xaitool_observe is to go; use xaitool_stage_finished")

    @staticmethod
    @spec(warn_on_impl=gone)
    def xaitool_observe() -> None: ...

    @staticmethod
    @spec(warn_on_impl_args={"record": DeprecationWarning("'record' is to go; use 'figures'")})
    def xaitool_stage_finished(run: Any, stage: Any, record: Any, figures: Any) -> None: ...


def test_hooks_that_are_to_go_warn_and_new_arguments_are_additive(plugin: Any) -> None:
    observer = "from xaitool import hookimpl\nseen = []\n@hookimpl\ndef "
    points = [
        plugin("old", "old_plugin", observer + "xaitool_observe(): pass\n"),
        plugin("args", "args_plugin", observer + "xaitool_stage_finished(record): pass\n"),
        plugin("fine", "fine_plugin", observer + "xaitool_stage_finished(stage): seen.append(stage)\n"),
    ]
    specs: Any = NextYearsSpecs
    found = collect(
        points, specs=type("Specs", (), {**vars(specs), **{f"xaitool_{k}s": _kind(f"xaitool_{k}s") for k in KINDS}})
    )
    assert [each.error for each in found.plugins] == [None, None, None]
    assert [each.warnings for each in found.plugins] == [
        ("xaitool_observe is to go; use xaitool_stage_finished",),
        ("'record' is to go; use 'figures'",),
        (),
    ]
    assert list(found.observe("xaitool_stage_finished", run=0, stage="fit", record={}, figures={})) == []
    assert sys.modules["fine_plugin"].seen == ["fit"]


def _kind(name: str) -> Any:
    """A hook spec of this name, without arguments."""

    def spec() -> None: ...

    spec.__name__ = name
    return staticmethod(NextYearsSpecs.spec(spec))


def test_two_distributions_with_the_same_entry_point_name(plugin: Any) -> None:
    found = collect([plugin("acme", "acme_plugin", GOOD), plugin("other", "other_plugin", GOOD)])
    assert found.find("explainer", "other/edges").plugin.distribution == "other"
    with pytest.raises(ComponentError, match="offered more than once; write one of acme/edges, other/edges"):
        found.find("explainer", "edges")


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ComponentError, match=r"there is no explainer 'gradcan' .*; did you mean 'gradcam'\?"):
        catalog().find("explainer", "gradcan")
    with pytest.raises(ComponentError, match=r"there are cifar10, image_folder, shapes"):
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
    if stage == "report":
        raise SystemExit("bye")
    return True
"""
    found = collect([plugin("acme", "acme_plugin", GOOD), plugin("watch", "watch_plugin", observer)])

    def finished(stage: str) -> list[tuple[str, str]]:
        raised = found.observe("xaitool_stage_finished", run="folder", stage=stage, record={"images": 3})
        return [(plugin.name, str(error)) for plugin, error in raised]

    assert finished("data") == []
    assert finished("fit") == [("watch/main", "no disk")]
    assert finished("report") == [("watch/main", "bye")]
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
