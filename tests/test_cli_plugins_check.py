"""``xaitool plugins check``: the kit from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from xaitool.cli.plugins_check import check
from xaitool.errors import ComponentError, DataUnavailableError, RecipeError
from xaitool.testing import Case, CheckError


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(check, arguments)


def test_a_right_component_is_ok() -> None:
    done = invoke("xaitool", "--only", "scheduler/onecycle:config", "--with", "scheduler/onecycle={max_lr: 1e-1}")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0].split()[:2] == ["ok", "scheduler/onecycle:config"]
    assert done.output.splitlines()[-1] == "1 ok"


def raising(error: Exception) -> Any:
    def run() -> None:
        raise error

    return run


def test_a_failure_is_told_with_its_reason_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Case("explainer/x:one", "It is one.", lambda: None),
        Case("explainer/x:two", "It is two.", raising(CheckError("it is 3\nand not 2"))),
        Case("explainer/x:three", "It is three.", raising(CheckError("ZeroDivisionError: no"))),
        Case("dataset/x:four", "It is four.", raising(DataUnavailableError("fetch it first"))),
    ]
    monkeypatch.setattr("xaitool.testing.cases", lambda *_arguments, **_named: found)
    done = invoke("acme")
    assert done.exit_code == 1
    lines = [line.partition(" s")[0] if " s" in line else line for line in done.output.splitlines()]
    assert [line.split()[0] for line in lines if "/x:" in line] == ["ok", "FAILED", "FAILED", "not"]
    assert "         It is two.\n         it is 3\n         and not 2\n" in done.output
    assert "         ZeroDivisionError: no\n" in done.output
    assert "         fetch it first\n" in done.output
    assert done.output.splitlines()[-1] == "1 ok, 2 FAILED, 1 not run"
    assert invoke("acme", "--only", "dataset").exit_code == 0


def test_one_reason_is_told_once_and_what_is_printed_only_where_a_check_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(error: Exception | None) -> Any:
        def run() -> None:
            print("\n".join(f"line {number}" for number in range(100)))
            if error:
                raise error

        return run

    broken = CheckError("SyntaxError: invalid syntax")
    found = [
        Case("explainer/x:one", "It is one.", noisy(None)),
        Case("explainer/x:two", "It is two.", noisy(broken)),
        Case("explainer/x:three", "It is three.", noisy(broken)),
    ]
    monkeypatch.setattr("xaitool.testing.cases", lambda *_arguments, **_named: found)
    text = invoke("acme").output
    assert text.count("SyntaxError") == 1
    assert "         for the same reason as explainer/x:two\n" in text
    assert "         what the plugin printed meanwhile:\n         line 80\n" in text
    assert text.count("line ") == 20


def test_options_that_are_given_are_checked_whatever_is_run() -> None:
    wrong = invoke("xaitool", "--only", "gradcam:finite", "--with", "dataset/cifar10={rot: x}").exception
    assert isinstance(wrong, ComponentError)
    assert str(wrong).startswith("dataset/cifar10: cannot be built with the options {'rot': 'x'}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-size", "32"], "'32' is not channels x height x width, as in 3x224x224"),
        (["--input-size", "3x0x32"], "is not channels x height x width"),
        (["--with", "scheduler/onecycle"], "is not KIND/NAME={OPTION: VALUE"),
        (["--with", "scheduler/onecycle=3"], "is not KIND/NAME={OPTION: VALUE"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], message: str) -> None:
    done = invoke("xaitool", *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_what_is_not_there_is_a_users_error(tmp_path: Path) -> None:
    assert isinstance(invoke("nobody").exception, ComponentError)
    assert isinstance(invoke("xaitool", "--with", "model/y={}").exception, ComponentError)
    assert isinstance(invoke("xaitool", "--with", "model/timm={a: b: c}").exception, RecipeError)
    missing = invoke("xaitool", "--only", "zzz").exception
    assert "no check of xaitool has 'zzz' in its name" in str(missing)
