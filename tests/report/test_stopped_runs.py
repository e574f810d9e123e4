"""The report of a run that stopped on its way, of one with secrets, and of a folder that something has changed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from two_runs import make_run

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
STAGES = ["data", "model", "tune", "fit", "evaluate", "explain", "judge"]
LEAVES = {
    "tune": ["lr_finder.json"],
    "fit": ["history.jsonl", "lr_schedule.json"],
    "evaluate": ["metrics.json", "predictions.csv"],
    "explain": ["explanations"],
    "judge": ["judged", "verdicts.json"],
}
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


def stopped(folder: Path, stage: str, state: str = "failed") -> Run:
    """The run as if it had stopped in a stage: what later stages, and it itself, leave is not there."""
    for late in STAGES[STAGES.index(stage) :]:
        for name in LEAVES.get(late, []):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    stages = json.loads((folder / "run.json").read_text())["stages"]
    done = {name: stages[name] for name in STAGES[: STAGES.index(stage) + 1] if name in stages}
    stopped = {
        "state": state,
        "stage": stage,
        "error": "no more ink",
        "stages": done,
        "done": [name for name in done if name != stage],
    }
    return change(folder, "run.json", **stopped)


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
    word = "failed" if state == "failed" else "been interrupted"
    assert f"<li>the run has {word}: no more ink</li>" in page
    tested = stage in ("explain", "judge")
    assert ("of 10 test images are classified correctly" in page) == tested
    assert (f"The run did not come to its test results: it ended in stage {stage}." in page) == (not tested)
    assert ("The run did not come to its explanations." in page) == (stage == "explain")


def test_a_training_that_was_broken_off_shows_its_epochs(folder: Path) -> None:
    run = stopped(folder, "fit")
    (run.folder / "history.jsonl").write_text(json.dumps(EPOCH | {"seconds": 1.0}) + "\n")
    assert "The training was broken off after 1 epoch." in Run(folder).write_report().read_text()


def test_a_search_that_found_nothing_shows_its_curve(folder: Path) -> None:
    run = stopped(folder, "tune")
    (run.folder / "lr_finder.json").write_text('{"lrs": [0.1, 0.2, 0.3], "losses": [1, 2, null], "max_lr": null}')
    assert "no learning rate was found" in Run(folder).write_report().read_text()


def test_of_a_run_that_stopped_before_its_data_there_is_nothing_to_report(folder: Path) -> None:
    with pytest.raises(FolderError, match="has nothing to report: the run is failed in stage data"):
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
CONTENTS = [b"", b"[]", b"{}", b"[1, 2]\n{}", b"\xff\xfe\x00", b'{"lrs": 3, "stages": []}']


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
