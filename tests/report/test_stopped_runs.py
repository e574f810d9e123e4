"""The report of a run that stopped on its way, of one with secrets, and of a folder that something has changed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from two_runs import make_run, stopped

from xaitool import Run
from xaitool.errors import FolderError
from xaitool.report.drawing import Drawing
from xaitool.report.locate import locate
from xaitool.report.model import FigureItem

TITLES = [
    "How good is the model?",
    "Where does it fail?",
    "What does it look at?",
    "Can the explanations be trusted?",
    "Data",
    "How to repeat this run",
]
EPOCH = {"epoch": 1, "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "test_loss": 1.0, "test_accuracy": 0.5}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts as empty pictures: drawing is tested elsewhere, and takes seconds."""
    monkeypatch.setattr(Drawing, "chart", lambda self, name, figure, alt, caption="": FigureItem(b"<svg/>", alt))
    monkeypatch.setattr(Drawing, "keep", lambda self, name, figure: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def change(folder: Path, name: str, **values: Any) -> Run:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return Run(folder)


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        ("model", TITLES[4:]),
        ("tune", [TITLES[0], *TITLES[4:]]),
        ("fit", [TITLES[0], *TITLES[4:]]),
        ("evaluate", [TITLES[0], *TITLES[4:]]),
        ("explain", [*TITLES[:3], *TITLES[4:]]),
        ("judge", [*TITLES[:3], *TITLES[4:]]),
    ],
)
@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_it_has_a_report_of_what_it_came_to(folder: Path, stage: str, left: list[str], state: str) -> None:
    page = stopped(folder, stage, state).write_report().read_text()
    assert titles(page) == left
    how = f"failed in stage {stage}: no more ink" if state == "failed" else f"been interrupted in stage {stage}"
    assert f"<li>the run has {how}; to go on: xaitool run --resume {folder}" in page
    assert ("add --set KEY=VALUE --force" in page) == (state == "failed")
    tested = stage in ("explain", "judge")
    assert ("of 10 test images are classified correctly" in page) == tested
    assert (f"The run did not come to its test results: it ended in stage {stage}." in page) == (not tested)
    assert ("The run did not come to its explanations." in page) == (stage == "explain")


def test_a_run_that_was_killed_says_so(folder: Path) -> None:
    page = stopped(folder, "model", "running").write_report().read_text()
    assert "<li>the run was still going on in stage model when this page was made, or was killed there; to go" in page
    assert "none in this run" not in page


def test_an_error_of_several_lines_keeps_them(folder: Path) -> None:
    why = "weights.pt does not fit the model:\n  3 have another shape\n  Only the head differs"
    stopped(folder, "model")
    page = change(folder, "run.json", error=why).write_report().read_text()
    (item,) = re.findall(r"<li>([^<]*weights\.pt[^<]*)</li>", page)
    assert "the model:\n" in item
    assert "shape\n" in item
    assert re.search(r"\.warnings li { white-space: pre-line;", page)


def test_a_training_that_failed_in_its_first_epoch_was_come_to(folder: Path) -> None:
    page = stopped(folder, "fit").write_report().read_text()
    assert "The training did not come to the end of its first epoch." in page


def test_a_run_that_was_gone_on_with_says_so(folder: Path) -> None:
    assert "Gone on with" not in Run(folder).write_report().read_text()
    page = change(folder, "run.json", resumed=["2026-11-22T10:00:00+00:00"]).write_report().read_text()
    assert "1 time; the recipe is that of the last" in page


def test_a_folder_of_another_format_is_told(folder: Path) -> None:
    with pytest.raises(FolderError, match=r"made by another version of xaitool: its format is 99, and this .* reads 1"):
        change(folder, "run.json", format=99).write_report()


def test_a_name_in_bytes_that_are_no_text_costs_no_page(folder: Path) -> None:
    command = ["xaitool", "run", "pets", "--out", "/tmp/\udcff"]
    assert "/tmp/?" in change(folder, "environment.json", command=command).write_report().read_text()


def test_a_training_that_was_broken_off_shows_its_epochs(folder: Path) -> None:
    run = stopped(folder, "fit")
    (run.folder / "history.jsonl").write_text(json.dumps(EPOCH | {"seconds": 1.0}) + "\n")
    assert "The training was broken off after 1 epoch." in Run(folder).write_report().read_text()


def test_a_search_that_found_nothing_shows_its_curve(folder: Path) -> None:
    run = stopped(folder, "tune")
    (run.folder / "lr_finder.json").write_text('{"lrs": [0.1, 0.2, 0.3], "losses": [1, 2, null], "max_lr": null}')
    assert "no learning rate was found" in Run(folder).write_report().read_text()


def test_of_a_run_that_stopped_before_its_data_there_is_nothing_to_report(folder: Path) -> None:
    with pytest.raises(FolderError, match="has nothing to report: the run has failed in stage data"):
        stopped(folder, "data").write_report()


def test_secrets_are_not_shown(folder: Path) -> None:
    lock = folder / "recipe.lock.yaml"
    lock.write_text(f"{lock.read_text()}dataset:\n  use: mine\n  hf_token: hunter2\n")
    page = (
        change(folder, "environment.json", command=["xaitool", "--set", "a.token=hunter2"]).write_report().read_text()
    )
    assert "hunter2" not in page
    assert "hf_token: &#39;***&#39;" in page
    assert "a.token=***" in page
    assert "What its keys tell to be a secret is shown as *** here" in page


FILES = [
    "run.json", "environment.json", "metrics.json", "lr_finder.json", "lr_schedule.json", "history.jsonl",
    "verdicts.json", "explanations/images.csv", "explanations/images.npy", "explanations/gradcam/true.npy",
    "recipe.lock.yaml",
]  # fmt: skip
# An array that claims to hold 10^14 numbers.
HUGE = io.BytesIO()
np.lib.format.write_array_header_1_0(HUGE, {"descr": "<f4", "fortran_order": False, "shape": (10**14,)})
CONTENTS = [
    b"",
    b"[" * 100_000,
    HUGE.getvalue(),
    HUGE.getvalue().replace(b"0,)", b"9" * 30 + b",)"),
    b"PK\x03\x04aaa",
    b"\x93NUMPY\x01\x00\x06\x00(((((\n",
    b"[]",
    b"{}",
    b"[1, 2]\n{}",
    b"\xff\xfe\x00",
    b'{"lrs": 3, "stages": []}',
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_other_content_is_an_error_that_names_it_or_its_folder(folder: Path, name: str) -> None:
    path, page = folder / name, folder / "report.html"
    for content in CONTENTS:
        path.write_bytes(content)
        if (name, content) == ("verdicts.json", b"{}"):  # nothing was judged: a whole file
            continue
        with pytest.raises(FolderError, match=re.escape(str(folder))):
            locate(folder).write_report()
        assert not page.exists()
