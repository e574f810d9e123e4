"""The head of the report: how good the model is, beside what guessing would reach; and the tables of its classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from two_runs import make_run

from xaitool import Run
from xaitool.report.drawing import Drawing
from xaitool.report.head import created, facts, sentence, warnings
from xaitool.report.mistakes import mistakes_sections
from xaitool.report.model import Section
from xaitool.report.training import training_sections

FEW = {"explained": (), "judged": ()}


def run_of(folder: Path, predicted: str, true: str, **more: Any) -> Run:
    ids = [f"test/{number:05d}" for number in range(len(true))]
    return Run(make_run(folder / "run", predicted, true=true, ids=ids, **FEW, **more))


def test_the_accuracy_stands_with_its_interval_and_chance(tmp_path: Path) -> None:
    run = run_of(tmp_path, "c" * 20 + "d" * 19 + "c", "c" * 20 + "d" * 20)
    assert sentence(run) == (
        "97.50% of 40 test images are classified correctly; the commonest mistake is to take “dog” for “cat” (1 time)."
    )
    told = dict(facts(run))
    assert told["Test accuracy (95% interval)"] == "97.50% (87.1–99.6)"
    assert told["Chance (always naming one class)"] == "50.0%"
    assert warnings(run) == []


def test_a_model_that_guesses_is_not_praised(tmp_path: Path) -> None:
    run = run_of(tmp_path, "cd" * 15, "c" * 16 + "d" * 14)
    assert sentence(run).startswith(
        "50.00% of 30 test images are classified correctly, which cannot be told from always naming “cat” (53.3%); "
    )
    (warning,) = [each for each in warnings(run) if "explain nothing" in each]
    assert warning.startswith(
        "the model is not clearly better than always naming “cat”, which is right about 53.3% of "
    )
    assert dict(facts(run))["Chance (always naming one class)"] == "53.3%"


@pytest.mark.parametrize(
    ("predicted", "true", "said"),
    [
        (
            "c",
            "c",
            "The one test image is classified correctly, which cannot be told from always naming “cat” (100.0%).",
        ),
        ("d", "c", "The one test image is classified incorrectly, which is worse than always naming “cat” (100.0%)"),
        ("ccdd" * 10, "ccdd" * 10, "100.00% of 40 test images are classified correctly."),
        ("ddcc" * 10, "ccdd" * 10, "0.00% of 40 test images are classified correctly, which is worse than always "),
    ],
    ids=["one, right", "one, wrong", "no mistake", "nothing right"],
)
def test_the_ends_are_told_as_people_would(tmp_path: Path, predicted: str, true: str, said: str) -> None:
    assert sentence(run_of(tmp_path, predicted, true)).startswith(said)


def test_a_mistake_that_is_as_common_as_others_is_called_one_of_them(tmp_path: Path) -> None:
    said = sentence(run_of(tmp_path, "c" * 19 + "d" + "d" * 19 + "c", "c" * 20 + "d" * 20))
    assert "; one of the commonest mistakes is to take “cat” for “dog” (1 time, as is 1 other pair)." in said


@pytest.mark.parametrize(
    ("started", "said"),
    [
        ("2026-11-22T09:42:15+00:00", "22 November 2026, 09:42 UTC"),
        ("2026-11-22T09:42:15+01:00", "22 November 2026, 09:42 UTC+01:00"),
        ("2026-11-22T09:42:15", "22 November 2026, 09:42"),
    ],
)
def test_the_time_has_its_zone(tmp_path: Path, started: str, said: str) -> None:
    assert created(Run(make_run(tmp_path / "run", started=started))) == said


def parts_of(run: Run, tmp_path: Path) -> dict[str, Section]:
    (whole,) = mistakes_sections(run, Drawing(None, svg=False))
    return {each.title: each for each in whole.parts}


def test_recall_and_precision_have_intervals(tmp_path: Path) -> None:
    run = run_of(tmp_path, "c" * 20 + "d" * 18 + "cc", "c" * 20 + "d" * 20)
    parts = parts_of(run, tmp_path)
    table = parts["Class by class"].table
    assert table
    assert [row[:3] for row in table.rows] == [
        ("cat", "100.0% (83.9–100.0)", "90.9% (72.2–97.5)"),
        ("dog", "90.0% (69.9–97.2)", "100.0% (82.4–100.0)"),
        ("frog", "–", "–"),
    ]
    assert all(table.is_numeric(column) for column in (1, 2, 3))
    assert "In brackets: 95% intervals." in parts["Class by class"].text
    assert "The calibration error is how far accuracy and confidence are apart" in (
        parts["Is the model as sure as it is right?"].text
    )


def test_one_epoch_is_neither_the_last_nor_the_best(tmp_path: Path) -> None:
    (one,) = training_sections(Run(make_run(tmp_path / "one", epochs=1)), Drawing(None, svg=False))
    assert one.text.startswith("After its only epoch: 60.00% on the test images; ")
    (three,) = training_sections(Run(make_run(tmp_path / "three", epochs=3)), Drawing(None, svg=False))
    assert three.text.startswith("The last of 3 epochs is also the best: ")
    (epochs,) = [each.table for each in three.parts if each.title == "Epochs"]
    assert epochs
    assert epochs.columns[1] == "Learning rate at its end"


def test_one_thread_is_not_several(tmp_path: Path) -> None:
    from xaitool.report.provenance import cpu_of

    environment = json.loads((make_run(tmp_path / "run") / "environment.json").read_text())
    assert cpu_of({**environment["cpu"], "threads": 1}) == "x86_64, 2 cores, 1 thread"
