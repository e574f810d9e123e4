"""The checks of every kind of component: each catches a component that is wrong in its way, and passes a right one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from planted_specimens import planted_specimen

from xaitool.component import Component, Kind
from xaitool.plugins import Offer, Plugin
from xaitool.testing import CheckError
from xaitool.testing.any_kind import imports_lightly
from xaitool.testing.checks import registered
from xaitool.testing.specimen import Specimen

CHECKS = {each.name: each for each in registered() if each.kind is None}

WRONG = [
    ("config", "Silent", "right", "explainer", "Silent has options without a description: size"),
    ("config", "SilentInside", "right", "explainer", "Part has options without a description: depth"),
    ("config", "Lax", "right", "explainer", "Lax takes unknown options without a word"),
    ("config", "NotOurs", "right", "explainer", "is not a subclass of xaitool.Config"),
    (
        "config",
        "OneWay",
        "right",
        "explainer",
        "from JSON the options come back as OneWay(size=4), and were OneWay(size=3)",
    ),
    ("factory-leaves-no-trace", "Right", "seeds_torch", "explainer", "the factory changes torch's random state"),
    ("factory-leaves-no-trace", "Right", "draws_with_numpy", "explainer", "changes numpy's random state"),
    ("factory-leaves-no-trace", "Right", "draws_with_python", "explainer", "changes Python's random state"),
    ("factory-leaves-no-trace", "Right", "sets_dtype", "explainer", "changes torch's default dtype"),
    ("factory-leaves-no-trace", "Right", "sets_threads", "explainer", "changes torch's number of threads"),
    ("factory-leaves-no-trace", "Right", "weights_of_its_own", "model", "the factory seeds torch's generator"),
    ("pickles", "Right", "unpicklable", "explainer", "what the factory returns cannot be pickled"),
]


OFFERS = """
from xaitool import Component, hookimpl

@hookimpl
def xaitool_explainers():
    {hook}
    return [Component("mine", config="{config}:Config", factory="nowhere:Mine")]
"""
CONFIG = """
import xaitool

class Config(xaitool.Config):
    pass
"""


def specimen(config: str, factory: str, kind: Kind) -> Specimen:
    return planted_specimen(kind, "wrong_any_kind", factory, config)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.mark.parametrize(("name", "config", "factory", "kind", "message"), WRONG)
def test_a_wrong_component_is_caught(name: str, config: str, factory: str, kind: Kind, message: str) -> None:
    with pytest.raises(CheckError, match=re.escape(message)):
        CHECKS[name].run(specimen(config, factory, kind))


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(("factory", "kind"), [("right", "explainer"), ("right_model", "model")])
def test_a_right_component_passes(name: str, factory: str, kind: Kind) -> None:
    CHECKS[name].run(specimen("Right", factory, kind))


def test_there_is_a_wrong_component_for_every_check() -> None:
    assert {each[0] for each in WRONG} == set(CHECKS)


def test_options_that_are_needed_and_not_given_are_asked_for() -> None:
    component = Component("onecycle", config="xaitool_onecycle.config:OneCycleConfig", factory="nowhere:build")
    needs = Specimen(Offer("scheduler", component, Plugin("wrong/main", "wrong", "0")))
    with pytest.raises(CheckError, match=r"give the component an `example`.*\(max_lr: Field required\)"):
        CHECKS["config"].run(needs)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import torch", "importing wrong_module imports torch, which takes seconds"),
        ("import socket; socket.socket().close()", "importing wrong_module reaches for the network: socket.__new__"),
        ("import socket; socket.gethostbyname('localhost')", "reaches for the network: socket.gethostbyname"),
        ("1 / 0", "importing wrong_module fails: (?s:.*)ZeroDivisionError"),
        ("import sys; sys.exit(3)", "importing wrong_module fails"),
        ("print('hello', end='')", None),
        ("import json, logging, pluggy, xaitool", None),
        (
            OFFERS.format(hook="import torch", config="light_config"),
            "^calling its hook xaitool_explainers imports torch",
        ),
        (OFFERS.format(hook="", config="heavy_config"), "^importing the config of mine imports torch"),
        (
            OFFERS.format(hook="import socket; socket.socket().close()", config="light_config"),
            "^calling its hook .* reaches",
        ),
        (
            OFFERS.format(hook="", config="no_config"),
            "importing wrong_module fails: (?s:.*)No module named 'no_config'",
        ),
        (OFFERS.format(hook="", config="light_config"), None),
    ],
)
def test_a_plugin_that_is_slow_or_nosy_to_import_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str | None
) -> None:
    (tmp_path / "wrong_module.py").write_text(code)
    (tmp_path / "light_config.py").write_text(CONFIG)
    (tmp_path / "heavy_config.py").write_text(f"import torch{CONFIG}")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = Plugin("wrong/main", "wrong", "0", module="wrong_module")
    if message is None:
        imports_lightly(plugin)
    else:
        with pytest.raises(CheckError, match=message):
            imports_lightly(plugin)
    assert "wrong_module" not in sys.modules
