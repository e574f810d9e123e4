"""The conformance tests as an author meets them: in pytest, and with expected failures."""

from __future__ import annotations

import pytest

from xaitool.errors import ComponentError
from xaitool.plugins import Catalog, Plugin, catalog
from xaitool.testing import CheckError, cases, conformance
from xaitool.testing.checks import checks_for

pytest_plugins = ["pytester"]

# An author's test file, for a plugin that lies beside it: an explainer that is right but for one thing.
PLUGIN = """
from xaitool import Component, hookimpl

@hookimpl
def xaitool_explainers():
    return [Component("mine", config="acme_plugin.options:Config", factory="acme_plugin.parts:{factory}")]
"""
OPTIONS = """
from xaitool import Config as Base

class Config(Base):
    "No options."
"""
PARTS = """
import torch
from xaitool import build

def right(config):
    return build("explainer", "gradcam")

class Deaf:
    "Takes any number of targets."
    def explain(self, subject, images, targets):
        return right(None).explain(subject, images, torch.zeros(len(images), dtype=torch.int64))

def wrong(config):
    return Deaf()

def no_gpu(config):
    raise RuntimeError("no GPU")
"""
TEST = """
from xaitool.testing import conformance

test_mine = conformance("acme"{arguments})
"""


def author(pytester: pytest.Pytester, factory: str, arguments: str = "") -> pytest.RunResult:
    """Run an author's tests in a process of their own."""
    package = pytester.mkpydir("acme_plugin")
    (package / "__init__.py").write_text(PLUGIN.format(factory=factory))
    (package / "options.py").write_text(OPTIONS)
    (package / "parts.py").write_text(PARTS)
    info = pytester.mkdir("acme-1.0.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xaitool]\nmain = acme_plugin\n")
    pytester.makepyfile(test_acme=TEST.format(arguments=arguments))
    return pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", "-k", "wrong-targets or config or imports")


@pytest.fixture(autouse=True)
def its_own_path(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))


def test_each_component_and_check_is_a_test_of_its_own(pytester: pytest.Pytester) -> None:
    result = author(pytester, "right")
    result.assert_outcomes(passed=3, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(
        [
            "*::test_mine[[]plugin/main:imports-lightly] PASSED*",
            "*::test_mine[[]explainer/mine:wrong-targets-raise] PASSED*",
        ]
    )


def test_a_failure_names_its_check_and_gives_its_reason(pytester: pytest.Pytester) -> None:
    result = author(pytester, "wrong")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*CheckError: *", "FAILED *[[]explainer/mine:wrong-targets-raise]*"])


def test_an_expected_failure_is_no_failure(pytester: pytest.Pytester) -> None:
    expected = ', expected_failures={"explainer/mine:wrong-targets-raise": "it is deaf"}'
    outcomes = author(pytester, "wrong", expected).parseoutcomes()
    assert (outcomes["xfailed"], outcomes["passed"], outcomes.get("failed")) == (1, 2, None)


def test_an_expected_failure_that_passes_fails(pytester: pytest.Pytester) -> None:
    result = author(pytester, "right", ', expected_failures={"explainer/mine:config": "it was so once"}')
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*XPASS(strict)*it was so once*"])


def test_an_expected_failure_of_no_check_is_an_error() -> None:
    with pytest.raises(ComponentError, match=r"no check 'explainer/gradcam:finit' .* did you mean 'explainer/gradcam:"):
        conformance("xaitool", expected_failures={"explainer/gradcam:finit": "a typing mistake"})


def test_every_check_of_every_component_is_there() -> None:
    names = [case.name for case in cases("XAItool")]
    for offer in catalog().offers:
        if offer.plugin.distribution == "xaitool":
            for check in checks_for(offer.kind):
                assert names.count(f"{offer.kind}/{offer.component.name}:{check.name}") == 1
    assert all(case.summary.endswith(".") for case in cases("xaitool"))


def test_options_go_to_their_component_and_no_other() -> None:
    wrong = r"^scheduler/onecycle: cannot be built .*max_lr: Input should be greater than 0"
    with pytest.raises(ComponentError, match=wrong):
        cases("xaitool", options={"scheduler/onecycle": {"max_lr": -1}})
    with pytest.raises(ComponentError, match=r"options for scheduler/twocycle, which xaitool does not offer"):
        cases("xaitool", options={"scheduler/twocycle": {}})


def test_a_distribution_that_is_not_there_or_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ComponentError, match=r"no installed distribution 'xaitol' has a plugin.*did you mean 'xaitool'"
    ):
        cases("xaitol")
    broken = Plugin("acme/main", "acme", "1.5", error="ImportError: no acme")
    found = Catalog((broken,), (), catalog().manager)
    monkeypatch.setattr("xaitool.testing.kit.catalog", lambda: found)
    (case,) = cases("acme")
    assert case.name == "plugin/main:loads"
    with pytest.raises(CheckError, match=r"^it cannot be loaded: ImportError: no acme$"):
        case.run()


def test_a_broken_plugin_is_a_failed_case_and_its_siblings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    there = catalog()
    broken = Plugin("xaitool/bad", "xaitool", "1.5", error="ImportError: no bad")
    left_out = Plugin("xaitool/out", "xaitool", "1.5", disabled=True)
    found = Catalog((broken, left_out, *there.plugins), there.offers, there.manager)
    monkeypatch.setattr("xaitool.testing.kit.catalog", lambda: found)
    names = [case.name for case in cases("xaitool")]
    assert names[:2] == ["plugin/bad:loads", "plugin/out:loads"]
    assert "explainer/gradcam:finite" in names
    with pytest.raises(CheckError, match="it is left out by XAITOOL_PLUGINS_DISABLED"):
        cases("xaitool")[1].run()
    conformance("xaitool", expected_failures={"plugin/bad:loads": "it needs a library that is not here"})


def test_an_expected_failure_needs_a_reason() -> None:
    with pytest.raises(ComponentError, match="the expected failure of 'explainer/gradcam:finite' needs a reason"):
        conformance("xaitool", expected_failures={"explainer/gradcam:finite": " "})


def test_whatever_a_component_raises_can_be_expected(pytester: pytest.Pytester) -> None:
    expected = ', expected_failures={"explainer/mine:wrong-targets-raise": "it needs a GPU"}'
    outcomes = author(pytester, "no_gpu", expected).parseoutcomes()
    assert (outcomes["xfailed"], outcomes["passed"], outcomes.get("failed")) == (1, 2, None)
