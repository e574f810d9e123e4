"""The report's section on a planted shortcut: its figures are the finding's, and each is said to be what it is."""

from __future__ import annotations

import math
import re

import pytest
import torch

from xaitool.engine.shortcut import effect_of
from xaitool.judge.intervals import Interval
from xaitool.judge.shortcut import Effect, Finding, Pair, Pointing
from xaitool.report.model import ReportData, Section, Table
from xaitool.report.render import render
from xaitool.report.shortcut import shortcut_sections

EVIL = """<script>alert(1)</script>"'&"""

EFFECT = Effect(
    accuracy=Pair(0.91, 0.32),
    own=Pair(0.9, 0.995),
    others=Pair(0.912, 0.1),
    taken=Pair(0.021, 0.87),
    rise=Interval(0.849, 0.8, 0.891, 1300, 0.3),
    gain=Interval(0.095, 0.04, 0.15, 120, 0.3),
)


def pointing(share: float, low: float, high: float, n: int = 300) -> Pointing:
    return Pointing(Interval(share, low, high, n, 0.1), 1 / 64, Interval(64 * share, 64 * low, 64 * high, n, 6.4))


SHOWS = pointing(0.41, 0.38, 0.44)
DOES_NOT = pointing(0.02, 0.01, 0.03)
NAN = Interval(math.nan, math.nan, math.nan, 0, math.nan)


def section(finding: Finding) -> Section:
    (only,) = shortcut_sections(finding)
    return only


def table(finding: Finding, part: int) -> Table:
    found = section(finding).parts[part].table
    assert found is not None
    return found


def test_without_a_shortcut_there_is_no_section():
    assert shortcut_sections(None) == []


def test_the_section_answers_its_question_with_the_findings_sentence():
    finding = Finding("cat", 1.0, EFFECT, {"gradcam": SHOWS})
    assert section(finding).title == "Does the model use the planted shortcut?"
    assert section(finding).text == finding.sentence()
    assert section(finding).text.startswith("The model uses a shortcut: with the patch, 87%")


def test_what_the_patch_does_stands_in_the_table_without_it_and_with_it():
    found = table(Finding("cat", 1.0, EFFECT), 0)
    assert found.columns == (
        "Test images",
        "Without the patch",
        "With the patch",
        "Change in points",
        "95% interval",
    )
    assert found.rows == [
        ("Accuracy, all images", "91.0%", "32.0%", "−59.0", ""),
        ("Accuracy, images of “cat”", "90.0%", "99.5%", "+9.5", "+4.0 to +15.0"),
        ("Accuracy, images of other classes", "91.2%", "10.0%", "−81.2", ""),
        ("Other classes taken for “cat”", "2.1%", "87.0%", "+84.9", "+80.0 to +89.1"),
    ]
    text = section(Finding("cat", 1.0, EFFECT)).parts[0].text
    assert "(1,300 of them)" in text
    assert "how many of “cat” (120) are only recognised with it. Either counts from 5 points on" in text


def test_each_explainer_has_a_row_with_its_evidence_chance_and_whether_it_shows_the_patch():
    found = table(Finding("cat", 1.0, EFFECT, {"gradcam": SHOWS, "edges": DOES_NOT}), 1)
    assert found.rows == [
        ("gradcam", "41.0%", "38.0% to 44.0%", "1.6%", "26.24", "24.32 to 28.16", "300", "yes"),
        ("edges", "2.0%", "1.0% to 3.0%", "1.6%", "1.28", "0.64 to 1.92", "300", "no"),
    ]
    assert len(found.columns) == 8
    assert [column for column in range(8) if found.is_numeric(column)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("one", "ending"),
    [
        (pointing(0.41, 0.38, 0.44, n=12), ("12", "no (too few images)")),
        (Pointing(NAN, 1 / 64, NAN), ("0", "no (empty maps)")),
    ],
    ids=["few", "empty"],
)
def test_why_nothing_is_shown_is_said(one, ending):
    (row,) = table(Finding("cat", 1.0, EFFECT, {"gradcam": one}), 1).rows
    assert row[-2:] == ending
    assert "nan" not in "".join(row)
    if not one.share.n:
        assert row[1:6] == ("–", "–", "1.6%", "–", "–")


def test_without_maps_there_is_no_table_of_them():
    assert [part.title for part in section(Finding("cat", 1.0, EFFECT)).parts] == [
        "What the patch does to the predictions"
    ]


def test_a_class_without_images_has_no_share_and_no_interval():
    """All images are of the target, so that none is of another class."""
    of = torch.full((30,), 2)
    effect = effect_of(2, of, torch.zeros_like(of), of, seed=1)
    rows = table(Finding("cat", 1.0, effect), 0).rows
    assert rows[2][1:] == ("–", "–", "–", "")
    assert rows[3][1:] == ("–", "–", "–", "–")
    assert rows[1][1:] == ("0.0%", "100.0%", "+100.0", "+100.0 to +100.0")


def test_the_criterion_is_told_with_its_figure():
    assert (
        "at least 2 times chance, with its whole interval"
        in section(Finding("cat", 1.0, EFFECT, {"gradcam": SHOWS})).parts[1].text
    )


def test_names_are_escaped_on_the_page():
    finding = Finding(EVIL, 1.0, EFFECT, {EVIL: SHOWS})
    page = render(ReportData("x", "today", "", sections=shortcut_sections(finding)))
    assert EVIL not in page
    assert page.count("&lt;script&gt;") >= 5
    assert re.findall(r"<h3>(.*?)</h3>", page) == [
        "What the patch does to the predictions",
        "What the maps have on the patch",
    ]
