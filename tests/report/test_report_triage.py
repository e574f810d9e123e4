"""The report's section on the mistakes: the summary in paragraphs, the groups, the most confident ones, the maps."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from markupsafe import escape

from xaitool.report.explanations import items_of
from xaitool.report.model import ReportData, Section, Table
from xaitool.report.render import render
from xaitool.report.triage import triage_sections
from xaitool.triage import Triage
from xaitool.triage.decisions import NO_MAP, Decisions
from xaitool.triage.groups import NO_GROUP, Group, Groups
from xaitool.triage.label_noise import NOT_SUSPECT, Trial

EVIL = """<script>alert(1)</script>"'&"""
CLASSES = ("cat", "dog", EVIL)
TESTED, WRONG, SIDE = 60, 20, 8

# How sure the model is of mistake 0, 1, …: the last is the surest.
SURE = torch.linspace(0.6, 0.98, WRONG)
IDS = tuple(f"test/{place:02d}{EVIL}" for place in range(TESTED))


def triage(count: int = WRONG) -> Triage:
    """Even mistakes are corrected, those of the last one's decisions are not known, and the surest is suspected."""
    true, predicted = torch.ones(count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64)
    even = torch.arange(count) % 2 == 0
    without = torch.where(even, 1, 2)
    alone = torch.where(even, 0, 1)
    without[-1] = NO_MAP
    corrected = even.float()
    corrected[-1] = torch.nan
    chance, right = torch.full((count,), 0.1), (~even).float()
    decisions = Decisions(without, right, alone, right, corrected, right, chance, chance)
    perhaps = torch.full((count,), NOT_SUSPECT)
    perhaps[-1] = 0
    group = Group("dog taken for cat", count, 0.8765, (f"test/00{EVIL}", "test/05"))
    return Triage(
        explainer="gradcam",
        tested=TESTED,
        rows=torch.arange(count),
        true=true,
        predicted=predicted,
        confidence=SURE[:count],
        true_probability=0.99 - SURE[:count],
        decisions=decisions,
        groups=Groups(np.zeros(count, np.int64), (group,)),
        perhaps=perhaps,
        perhaps_by=torch.where(perhaps == NOT_SUSPECT, torch.nan, 0.97),
        trial=Trial(0.8, 0.05, 0.6),
        seed=1,
    )


FOUND = triage()


def run_of(found: Triage | None = FOUND, rows: tuple[int, ...] = (3, 1, 40, 7), targets=("predicted", "true")) -> Any:
    """What the section reads of a run. The first test images are dogs taken for cats, the others cats, and right.

    rows: of the explained images; every value of their maps is the row's number, or minus it for the true class.
    """
    explained = [
        {
            "id": IDS[row],
            "true": "dog" if row < WRONG else "cat",
            "predicted": "cat",
            "confidence": f"{0.6 + row / 100}",
        }
        | {"correct": str(int(row >= WRONG))}
        for row in rows
    ]
    values = np.broadcast_to(np.array(rows, np.float32)[:, None, None], (len(rows), SIDE, SIDE))
    return SimpleNamespace(
        triage=found and found.as_dict(),
        mistakes=found and list(csv.DictReader(io.StringIO(found.csv(IDS, CLASSES)))),
        explains=True,
        explained=explained,
        images=np.broadcast_to(np.array(rows, np.uint8)[:, None, None, None], (len(rows), SIDE, SIDE, 3)),
        methods=["gradcam"] if targets else [],
        targets=list(targets),
        maps=lambda method, target: values if target == "predicted" else -values,
        metrics={"per_class": dict.fromkeys(CLASSES)},
    )


class Keeping:
    """In place of what writes figures: keeps their names."""

    keeps = True

    def __init__(self) -> None:
        self.names: list[str] = []

    def keep(self, name: str, figure: Any) -> None:
        self.names.append(name)


def section(found: Triage = FOUND) -> Section:
    (only,) = triage_sections(run_of(found, ()), Keeping())
    return only


def part(whole: Section, title: str) -> Section:
    return next(each for each in whole.parts if each.title == title)


def table(one: Section) -> Table:
    assert one.table is not None
    return one.table


def confident(found: Triage = FOUND) -> list[dict[str, str]]:
    one = table(part(section(found), "The most confident mistakes"))
    return [dict(zip(one.columns, row, strict=True)) for row in one.rows]


def test_without_mistakes_looked_at_there_is_no_section():
    assert triage_sections(run_of(None), Keeping()) == []


def test_the_summary_is_there_word_for_word_in_a_paragraph_a_topic():
    whole = section()
    assert whole.title == "Why is it wrong?"
    assert whole.text == "20 of 60 test images are misclassified."
    assert [term for term, _ in whole.terms] == [
        "Evidence taken away",
        "Evidence kept alone",
        "Left out",
        "Alike mistakes",
        "Label noise, a guess",
    ]
    said = dict(whole.terms)
    assert " ".join([whole.text, *said.values()]) == FOUND.summary()
    assert said["Evidence taken away"].endswith(
        "52.6% of the mistakes are corrected; with a random 20%, 10.0%: whether that is more than chance would do "
        "cannot be told from 19 mistakes."
    )
    assert "50.0% of the mistakes are right" in said["Evidence kept alone"]
    assert said["Left out"] == "Mistakes with a constant map for either class: 1."
    assert said["Alike mistakes"].startswith(
        "20 of the mistakes are in 1 group of alike ones: 20 of “dog taken for cat”. No class pair splits beyond "
        "chance."
    )
    assert said["Label noise, a guess"].startswith("1 of the mistakes may be the label's and not the model's")
    assert said["Label noise, a guess"].endswith(
        "it found 80% of them, and 60% of those that it suspected then were among them. Labels that are really wrong "
        "are harder to find."
    )


def test_what_the_summary_leaves_out_is_left_out_here():
    none = torch.full((WRONG,), torch.nan)
    decisions = replace(FOUND.decisions, corrected=none, right=none, corrected_by_chance=none, right_by_chance=none)
    whole = section(replace(FOUND, decisions=decisions, groups=Groups(np.full(WRONG, NO_GROUP))))
    assert whole.text.endswith("gradcam gives constant maps for them, so nothing follows from its maps.")
    assert [term for term, _ in whole.terms] == ["Alike mistakes", "Label noise, a guess"]
    assert dict(whole.terms)["Alike mistakes"] == "There are too few alike mistakes for groups."
    assert [each.title for each in whole.parts] == ["The most confident mistakes"]


def test_the_groups_stand_in_a_table_with_their_examples():
    groups = table(part(section(), "Alike mistakes"))
    assert groups.columns == ("Group", "Mistakes", "Mean confidence", "Examples")
    assert groups.rows == [("dog taken for cat", "20", "87.6%", escape(f"test/00{EVIL}, test/05"))]


def test_the_fifteen_most_confident_mistakes_are_listed_the_surest_first():
    rows = confident()
    assert [row["Image"] for row in rows] == [f"test/{place:02d}{EVIL}" for place in range(19, 4, -1)]
    assert rows[0] == {
        "Image": f"test/19{EVIL}",
        "True": "dog",
        "Predicted": "cat",
        "Confidence": "98.0%",
        "Margin": "0.970",
        "Without the predicted class's evidence": "no map",
        "With the true class's evidence alone": "dog (right)",
        "Likely label noise, a guess": "perhaps cat",
    }
    assert rows[1]["Without the predicted class's evidence"] == "dog (right)"
    assert rows[1]["With the true class's evidence alone"] == "cat"
    assert rows[2]["Without the predicted class's evidence"] == EVIL
    assert {row["Likely label noise, a guess"] for row in rows[1:]} == {""}


def test_it_says_how_many_there_are_and_where_all_of_them_are():
    text = part(section(), "The most confident mistakes").text
    assert text.startswith("The 15 that the model is surest of. ")
    assert text.endswith("triage.csv has all 20 mistakes.")
    assert len(confident(triage(4))) == 4


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the figure was asked to draw, in place of it."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("xaitool.figures.differences", lambda *given: asked.append(given))
    return asked


def test_the_explained_mistakes_are_drawn_with_their_own_maps_and_figures(drawn):
    draw = Keeping()
    triage_sections(run_of(), draw)
    ((images, one, other, true, predicted, confidence, classes),) = drawn
    assert images[:, 0, 0, 0].tolist() == [3, 1, 7]
    assert one[:, 0, 0].tolist() == [3, 1, 7]
    assert other[:, 0, 0].tolist() == [-3, -1, -7]
    assert (true, predicted, classes) == ([1] * 3, [0] * 3, list(CLASSES))
    assert confidence == pytest.approx([0.63, 0.61, 0.67])
    assert draw.names == ["triage_differences"]


def test_twelve_at_most_are_drawn(drawn):
    triage_sections(run_of(rows=tuple(range(WRONG))), Keeping())
    assert drawn[0][1][:, 0, 0].tolist() == list(range(12))


@pytest.mark.parametrize(
    "run",
    [
        run_of(rows=(40, 41)),
        run_of(rows=(3, 1), targets=("predicted",)),
        run_of(rows=(3, 1), targets=("true", "cat")),
        run_of(targets=()),
    ],
    ids=["only right ones", "no true class", "no predicted class", "no maps"],
)
def test_where_there_are_no_maps_of_both_classes_nothing_is_drawn(run, drawn):
    draw = Keeping()
    triage_sections(run, draw)
    assert (drawn, draw.names) == ([], [])


def test_names_and_ids_are_escaped():
    page = render(ReportData("x", "today", "", sections=triage_sections(run_of(rows=()), Keeping())))
    assert EVIL not in page
    assert page.count("&lt;script&gt;") > 15
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["Alike mistakes", "The most confident mistakes"]


def test_the_explained_mistakes_of_a_table_are_links_to_the_gallery():
    found = triage_sections(run_of(rows=(19, 18)), Keeping())
    page = render(ReportData("x", "today", "", sections=found))
    assert re.findall(r'<td><a href="#gallery&amp;image=test%2F(\d+)', page) == ["19", "18"]


def test_what_a_mistake_rests_on_is_said_of_its_image_in_words():
    run = run_of(rows=(18, 17, 19))
    for each in run.explained:
        each |= {"true_probability": "0.1", "runner_up": "dog"}
    said = {item.id[5:7]: dict(item.notes) for item in items_of(run)}
    blurred, alone = (
        "With the evidence for the predicted class blurred",
        "With nothing but the evidence for the true class",
    )
    assert said["18"] == {blurred: "“dog”, which is right", alone: "“cat”, the same mistake"}
    assert said["17"][blurred].endswith("another mistake")
    assert said["19"][alone] == "“dog”, which is right"
    assert blurred not in said["19"], "there was no map"


def test_suspicions_that_failed_their_trial_are_neither_in_the_table_nor_called_likely():
    failed = replace(FOUND, trial=Trial(0.4, 0.05, 0.18))
    assert "Likely label noise, a guess" not in confident(failed)[0]
    said = dict(section(failed).terms)["Label noise, a guess"]
    assert said == (
        "No label is called wrong here: confident learning suspects 1, but did not stand its own trial. To see its "
        "worth, 1% of all test labels were falsified at random, 10 times over: it found 40% of them, and 18% of those "
        "that it suspected then were among them; it would take 50%. To it, mistakes of the model look the same as "
        "wrong labels do, and labels that are really wrong count against it, too. triage.csv names those it suspects."
    )
    assert failed.as_dict()["label_noise"]["withheld"] is True
    assert FOUND.as_dict()["label_noise"]["withheld"] is False


def test_where_no_label_is_suspected_that_is_told():
    none = replace(FOUND, perhaps=torch.full((WRONG,), NOT_SUSPECT))
    assert dict(section(none).terms)["Label noise, a guess"].startswith(
        "No mistake is said to be the label's and not the "
    )
    assert "Likely label noise, a guess" not in confident(none)[0]


def test_the_surest_stands_first_whatever_its_margin():
    closer = replace(FOUND, true_probability=torch.where(torch.arange(WRONG) == WRONG - 1, 0.5, 0.0))
    rows = confident(closer)
    assert rows[0]["Confidence"] == "98.0%"
    assert rows[0]["Margin"] < rows[1]["Margin"]
    assert closer.most_confident_first()[0] == WRONG - 1
