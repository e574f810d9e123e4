"""`xaitool report`: a report made again, and two runs compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from two_runs import TRUE, make_run

from xaitool import Run
from xaitool.cli import main

Program = Callable[..., tuple[int, str, str]]
MARK = '<meta name="generator" content="xaitool">'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """`xaitool report …` in a folder of its own: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        status: Any = 0
        try:
            main(["report", *arguments])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs of two recipes; the newest finished one is second/late, and one after it was interrupted."""
    folder = tmp_path / "runs"
    make_run(folder / "first" / "early", started="2026-11-23T09:00:00+00:00")
    make_run(folder / "first" / "late", f"d{TRUE[1:]}", started="2026-11-23T10:00:00+00:00")
    # Half past eleven by its own clock is after ten in Greenwich.
    make_run(folder / "second" / "late", f"dd{TRUE[2:]}", started="2026-11-23T11:30:00+01:00")
    make_run(folder / "second" / "interrupted", state="interrupted", started="2026-11-23T12:00:00+00:00")
    return folder


def test_the_report_and_its_figures_are_made_again(program: Program, runs: Path) -> None:
    status, out, err = program("runs/first/early")
    assert (status, out, err) == (0, "runs/first/early/report.html\n", "")
    assert MARK in (runs / "first/early/report.html").read_text()
    drawn = {each.name for each in (runs / "first/early/figures").iterdir()}
    assert {"training_curves.png", "confusion_matrix.png"} <= drawn
    assert not any(each.endswith(".svg") for each in drawn)


def test_what_is_printed_meanwhile_is_no_part_of_the_output(
    program: Program, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chatty(run: Run) -> list[Any]:
        print("chatter")
        return []

    monkeypatch.setattr("xaitool.report.write.plugin_sections", chatty)
    assert program("runs/first/early") == (0, "runs/first/early/report.html\n", "chatter\n")


def test_charts_are_written_as_svg_too_where_it_is_asked_for(program: Program, runs: Path) -> None:
    lock = runs / "first/early/recipe.lock.yaml"
    before = lock.read_bytes()
    assert program("runs/first/early", "--svg")[0] == 0
    assert (runs / "first/early/figures/training_curves.svg").is_file()
    assert lock.read_bytes() == before


def test_the_page_goes_where_it_is_asked_for(program: Program, runs: Path, tmp_path: Path) -> None:
    before = sorted(runs.rglob("*"))
    status, out, _ = program("runs/first/early", "--out", "pages/one.html")
    assert (status, out) == (0, "pages/one.html\n")
    assert sorted(runs.rglob("*")) == before  # nothing is written into the run's folder
    program("runs/first/early")
    assert (tmp_path / "pages/one.html").read_bytes() == (runs / "first/early/report.html").read_bytes()


@pytest.mark.parametrize(
    ("given", "taken"),
    [("runs", "runs/second/late"), ("runs/first", "runs/first/late"), ("runs/second", "runs/second/late")],
)
def test_of_a_folder_of_runs_the_newest_finished_one_is_taken(
    program: Program, runs: Path, given: str, taken: str
) -> None:
    status, out, err = program(given)
    assert (status, out) == (0, f"{taken}/report.html\n")
    assert err == f"{given}: the newest finished run is {taken}\n"


def test_two_runs_are_compared_here(program: Program, runs: Path, tmp_path: Path) -> None:
    status, out, err = program("runs/first/early", "runs/second")
    assert (status, out) == (0, "comparison.html\n")
    assert err == "runs/second: the newest finished run is runs/second/late\n"
    html = (tmp_path / "comparison.html").read_text()
    assert "A gets 100.0% of 10 test images right, B 80.0%" in html
    assert not (runs / "first/early/report.html").exists()
    assert program("runs/second", "runs/first/early")[0] == 0
    assert "B gets 100.0% of 10 test images right, A 80.0%" in (tmp_path / "comparison.html").read_text()


@pytest.mark.parametrize(
    "arguments", [("runs/first/early", "runs/second/late"), ("runs/first/early", "--out", "comparison.html")]
)
def test_what_xaitool_did_not_write_is_not_overwritten(
    program: Program, runs: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    mine = tmp_path / "comparison.html"
    mine.write_text("my thesis")
    status, out, err = program(*arguments)
    assert (status, out) == (2, "")
    assert err == ("error: comparison.html is there already, and xaitool did not write it; --force overwrites it\n")
    assert mine.read_text() == "my thesis"
    assert program(*arguments, "--force")[0] == 0
    assert MARK in mine.read_text()


def spoiled(runs: Path, kind: str) -> Path:
    """A folder that nothing can be made of."""
    folder = runs / kind
    match kind:
        case "empty":
            folder.mkdir()
        case "file":
            folder.write_text("")
        case "untested":
            make_run(folder, state="failed")
            for name in ("metrics.json", "predictions.csv"):
                (folder / name).unlink()
            journal = json.loads((folder / "run.json").read_text())
            stages = {name: journal["stages"][name] for name in ("data", "model", "tune", "fit")}
            (folder / "run.json").write_text(
                json.dumps(journal | {"stage": "fit", "stages": stages, "done": list(stages)[:-1]})
            )
        case "foreign":
            folder.mkdir()
            (folder / "run.json").write_text("[]")
        case "other":
            folder.mkdir()
            (folder / "run.json").write_text("{}")
        case "damaged":
            folder.mkdir()
            (folder / "run.json").write_text("{")
        case "unfinished":
            make_run(folder / "one", state="running")
    return folder


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "is not there; a run's folder is needed"),
        ("file", "is not a folder; a run's folder is needed"),
        ("empty", "is not a run's folder, and holds none"),
        ("foreign", "run.json is damaged: it holds list, not an object"),
        ("other", "was not written by a run of xaitool"),
        ("damaged", "run.json is damaged"),
        ("unfinished", "the one run in"),
    ],
)
@pytest.mark.parametrize("second", [(), ("runs/first/early",)])
def test_what_is_no_tested_run_is_refused_in_words(
    program: Program, runs: Path, tmp_path: Path, kind: str, said: str, second: tuple[str, ...]
) -> None:
    status, out, err = program(str(spoiled(runs, kind)), *second)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "comparison.html").exists()


def test_a_run_without_test_results_has_a_report_but_cannot_be_compared(program: Program, runs: Path) -> None:
    untested = str(spoiled(runs, "untested"))
    status, out, _ = program(untested)
    assert (status, out) == (0, f"{untested}/report.html\n")
    status, out, err = program(untested, "runs/first/early")
    assert (status, out) == (2, "")
    assert "has no test results (metrics.json and predictions.csv): the run has failed in stage fit" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'RUN [RUN_B]"),
        (
            ("runs/first", "runs/second", "runs/first/early"),
            "3 runs were given; a report is of one, a comparison of two",
        ),
        (("runs/first", "runs/second", "--svg"), "--svg is for figures/ in a run's folder"),
        (("runs/first", "--svg", "--out", "x.html"), "--svg is for figures/ in a run's folder"),
        (("runs", "runs/second"), "both are the same run, runs/second/late"),
        (("runs/first", "runs/second", "--out", "runs"), "is a directory"),
    ],
)
def test_what_makes_no_sense_is_refused(program: Program, runs: Path, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = program(*arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_a_place_that_cannot_be_written_is_named(program: Program, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    status, out, err = program("runs/first", "runs/second", "--out", "taken/page.html")
    assert (status, out) == (2, "")
    assert "error: cannot write taken/page.html: " in err


@pytest.mark.parametrize("arguments", [["runs/first/early"], ["runs/first/early", "runs/second/late"]])
def test_neither_report_nor_comparison_needs_torch(runs: Path, tmp_path: Path, arguments: list[str]) -> None:
    program = f"""
from xaitool.cli import cli
cli.main({["report", *arguments]!r}, standalone_mode=False)
import sys
print(*sorted({{name.partition('.')[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "matplotlib" in imported
    assert imported & {"torch", "torchvision", "timm", "albumentations", "accelerate", "pytorch_grad_cam"} == set()


def test_the_command_stands_in_the_overview(capfd: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "Make a run's report again, or compare two runs." in capfd.readouterr().out
