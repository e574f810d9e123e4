"""What `xaitool run` leaves in a terminal, in a file, and for scripts."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from xaitool.cli import main
from xaitool.cli.processes import told
from xaitool.engine.progress import Display, ForScripts, Silent
from xaitool.engine.stages import Stages
from xaitool.errors import RecipeError, TrainingError

RECIPE = """
recipe: 1
name: tiny
runtime: {device: cpu}
dataset: {use: shapes, train: 64, test: 80, classes: [circle, cross, star]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train:
  epochs: 1
  batch_size: 32
  optimizer: {name: sgd}
  scheduler: {use: onecycle, max_lr: 0.05}
explain:
  select: {misclassified: 2, correct: 1}
  targets: [predicted]
  methods: [gradcam]
  judge: {images: 30}
  metrics: [{use: abpc, steps: 8}]
  triage: false
report: {html: false}
"""
# A net of one short epoch falls short of it.
REQUIRE = "explain.require=[faithful]"
ABOUT_TERMINALS = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """`xaitool run tiny.yaml …` in a folder of its own: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    for name in ABOUT_TERMINALS:
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        status: Any = 0
        try:
            main(["run", "tiny.yaml", *arguments])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capfd.readouterr()

    return call


def only_folder(at: Path) -> Path:
    (folder,) = at.glob("runs/tiny/*")
    return folder


def hint(at: Path) -> str:
    """The lines that say how to go on after a training that failed."""
    on = f"to go on from there: xaitool run --resume {only_folder(at).relative_to(at)}"
    return f"{on}\nwith another setting: add --set KEY=VALUE --force\n"


def untrained(stages: Stages, *_: Any) -> Any:
    raise TrainingError("the loss is no number")


def test_it_ends_with_one_table_and_redirected_it_is_plain_text(program: Program, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xaitool", "run", "tiny.yaml"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color"},
        capture_output=True,
    )
    told = done.stderr.decode()
    assert done.returncode == 0, told
    folder = only_folder(tmp_path)
    assert done.stdout.decode() == f"{folder}\n"
    assert re.findall(r"[^\n\x20-\x7e–“”…]", told) == []  # neither carriage returns nor control sequences
    assert " left " not in told  # as a bar says
    lines = told.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("tiny: finished in "))
    before, end = lines[:start], lines[start:]
    assert "judged: 1 explainer on 30 images" in before
    assert max(map(len, end)) <= 80
    names = [re.split(" {2,}", line)[0] for line in end[1:] if line and not line.startswith(" ")]
    facts, tables = names[:4], names[4:8]
    assert facts == ["accuracy", "chance", "mistakes", "worst classes"]
    assert tables == ["explainer", "gradcam"] * 2
    assert end[-1] == f"folder         {folder.relative_to(tmp_path)}"
    words = json.loads((folder / "verdicts.json").read_text())["gradcam"]["words"]
    assert words in " ".join(" ".join(end).split())
    assert told.count("hardest to beat") == told.count("tiny: finished in ") == 1
    assert "tiny: finished in " in (folder / "run.log").read_text()


def test_it_ends_with_the_table_where_an_explainer_falls_short_too(program: Program, tmp_path: Path) -> None:
    status, out, told = program("--set", REQUIRE)
    assert (status, out) == (3, "")
    assert told.index("tiny: failed after") < told.index("hardest to beat") < told.index("error: explain.require")


def test_json_is_one_object_and_nothing_else(program: Program, tmp_path: Path) -> None:
    status, out, told = program("--quiet", "--json")
    assert (status, told) == (0, "")
    found = json.loads(out)
    folder = only_folder(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (found["version"], found["name"], found["folder"], found["report"]) == (1, "tiny", str(folder), None)
    assert (found["state"], found["error"], found["exit_status"]) == ("finished", None, 0)
    assert (found["accuracy"], found["images"]) == (metrics["accuracy"], 80)
    recalls = {name: each["recall"] for name, each in metrics["per_class"].items()}
    assert [each["name"] for each in found["worst_classes"]] == sorted(recalls, key=lambda name: recalls[name])
    assert found["verdicts"]["gradcam"]["metric"] == "abpc"


def test_json_tells_that_an_explainer_falls_short(program: Program) -> None:
    status, out, told = program("--json", "--set", REQUIRE)
    found = json.loads(out)
    assert (status, found["exit_status"], found["state"]) == (3, 3, "failed")
    assert found["error"].startswith("explain.require is not met: gradcam is not faithful")
    assert told == f"error: {found['error']}\n"
    assert 0 <= found["accuracy"] <= 1
    assert found["verdicts"]["gradcam"]["words"] in found["error"]


def test_json_of_a_recipe_that_is_wrong(program: Program, tmp_path: Path) -> None:
    status, out, told = program("--json", "--set", "train.epochs=many")
    found = json.loads(out)
    assert status == 2
    assert found == {"version": 1, "error": found["error"], "exit_status": 2}
    assert "train.epochs" in found["error"]
    assert told == f"error: {found['error']}\n"
    assert not (tmp_path / "runs").exists()


def test_json_of_a_run_that_failed_on_its_way(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stages, "fit", untrained)
    status, out, told = program("--json")
    found = json.loads(out)
    assert (status, found["exit_status"], found["error"]) == (2, 2, "the loss is no number")
    assert (found["state"], found["folder"], found["accuracy"]) == ("failed", str(only_folder(tmp_path)), None)
    assert told == f"error: the loss is no number\n{hint(tmp_path)}"


def test_a_run_that_failed_on_its_way_has_no_table(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stages, "fit", untrained)
    status, out, told = program()
    assert (status, out) == (2, "")
    assert "failed after" not in told
    assert told.endswith(f"error: the loss is no number\n{hint(tmp_path)}")


def test_how_to_go_on_allows_the_code_that_was_allowed(program: Program, tmp_path: Path, monkeypatch: Any) -> None:
    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stages, "fit", stopped)
    *_, told = program("--allow-code")
    assert told.endswith(f"xaitool run --resume {only_folder(tmp_path).relative_to(tmp_path)} --allow-code\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give a RECIPE to begin a run"),
        (["quickstart", "--force"], "--force goes with --resume"),
        (["--resume", "x", "--out", "y"], "--out does not go with --resume"),
        (["quickstart", "--bogus"], "No such option"),
    ],
)
def test_json_is_told_of_a_wrong_command_line_too(
    capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--json", *arguments])
    out, told = capfd.readouterr()
    found = json.loads(out)
    assert (stopped.value.code, found["exit_status"]) == (2, 2)
    assert message in found["error"]
    assert message in told


def test_of_several_processes_one_tells_of_a_wrong_command_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit) as stopped:
            main(["run", "--json", "quickstart", "--bogus"])
        told.append((stopped.value.code, *map(bool, capfd.readouterr())))
    assert told == [(2, True, True), (2, False, False)]


def test_of_several_processes_one_tells_of_a_wrong_recipe_and_each_of_its_own_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told_by = {}
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        told_by[rank] = told(RecipeError([])), told(TrainingError("it broke"))
    assert told_by == {"0": ("error: ", "error: it broke"), "1": (None, "process 1: error: it broke")}


@pytest.mark.parametrize(("error", "status", "message"), [(KeyboardInterrupt, 130, "interrupted"), (ValueError, 1, "")])
def test_json_is_told_however_it_ends(
    program: Program, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: int, message: str
) -> None:
    def fit(stages: Stages, *_: Any) -> Any:
        raise error

    monkeypatch.setattr(Stages, "fit", fit)
    printed: list[str] = []
    monkeypatch.setattr("click.echo", lambda text, err=False, **_: printed.extend([] if err else [text]))
    with pytest.raises((ValueError, SystemExit)):
        main(["run", "tiny.yaml", "--json"])
    (found,) = map(json.loads, printed)
    assert found["exit_status"] == status
    assert found["error"] == (message or "ValueError()")


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_what_a_plugin_prints_is_no_part_of_the_output(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def fit(stages: Stages, *_: Any) -> Any:
        print("chatter")
        raise TrainingError("the loss is no number")

    monkeypatch.setattr(Stages, "fit", fit)
    _, out, told = program(option)
    assert "chatter" not in out
    assert told == f"chatter\nerror: the loss is no number\n{hint(tmp_path)}"


def test_scripts_are_told_warnings_and_the_quiet_ones_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    for display in (ForScripts(), Silent()):
        display.line("so far")
        display.warn("mind this")
        with display.bar("testing", 10) as bar:
            bar(10)
    assert capfd.readouterr() == ("", "warning: mind this\n")


def show(display: Display) -> None:
    """A warning, and a bar in progress."""
    display.warn("mind this")
    with display.bar("testing", 10) as bar:
        bar(5, "half")
        bar(5)


def in_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """What a terminal is sent."""
    for name in ABOUT_TERMINALS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        show(Display(Console(file=terminal, highlight=False)))
        terminal.write("the end\n")
        terminal.flush()
        sent = b""
        while not sent.endswith(b"the end\r\n"):
            sent += os.read(ours, 65536)
    os.close(ours)
    return sent.removesuffix(b"the end\r\n").decode()


def test_a_bar_is_shown_in_a_terminal_and_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = in_terminal(monkeypatch, TERM="xterm-256color")
    assert "\x1b[33mwarning: mind this" in sent
    assert "testing" in sent
    assert sent.endswith("\x1b[2K")  # the line is cleared


def test_a_dumb_terminal_gets_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_terminal(monkeypatch, TERM="dumb") == "warning: mind this\r\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = in_terminal(monkeypatch, TERM="xterm-256color", NO_COLOR="1")
    assert "testing" in sent
    assert re.findall(r"\x1b\[[0-9;]*(?:3|4|9|10)[0-9][0-9;]*m", sent) == []


@pytest.mark.parametrize("forced", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_forced_colour_brings_no_bars_into_a_file(forced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ABOUT_TERMINALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(forced, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with (tmp_path / "log").open("w") as log:
        show(Display(Console(file=log, highlight=False)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", (tmp_path / "log").read_text()) == "warning: mind this\n"
