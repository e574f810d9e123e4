"""Triage as a table: one row a mistake."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xaitool.triage.decisions import NO_MAP
from xaitool.triage.groups import NO_GROUP

if TYPE_CHECKING:
    from xaitool.triage.result import Triage

COLUMNS = (
    "id",
    "true",
    "predicted",
    "confidence",
    "true_probability",
    "margin",
    "without_predicted_evidence",
    "true_probability_without",
    "corrected_by_chance",
    "with_true_evidence_alone",
    "true_probability_alone",
    "right_by_chance",
    "verdict",
    "group",
    "likely_label_noise",
    "label_noise_score",
)


def table(triage: Triage, ids: Sequence[str], classes: Sequence[str]) -> str:
    """CSV text. ids: of all test images. A cell is empty where there is nothing to say.

    What chance would do to a mistake is the share of random draws, 0..1, that correct it, or leave it right. The score
    of a suspected label is how much more probable, -1..1, the class is that it should perhaps be.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place in range(len(triage.rows)):
        writer.writerow(_row(triage, place, ids, classes))
    return text.getvalue()


def verdict(triage: Triage, place: int) -> str:
    """What one mistake rests on, in words."""
    without, alone = int(triage.decisions.without[place]), int(triage.decisions.alone[place])
    true, predicted = int(triage.true[place]), int(triage.predicted[place])
    words = {NO_MAP: "no map of the predicted class", true: "corrected without it", predicted: "stays without it"}
    found = [words.get(without, "another mistake without it")]
    if alone == true:
        found.append("right on its own evidence")
    elif alone == NO_MAP:
        found.append("no map of the true class")
    return "; ".join(found)


def _row(triage: Triage, place: int, ids: Sequence[str], classes: Sequence[str]) -> list[str]:
    decisions, group, perhaps = triage.decisions, int(triage.groups.of[place]), int(triage.perhaps[place])
    return [
        ids[int(triage.rows[place])],
        classes[int(triage.true[place])],
        classes[int(triage.predicted[place])],
        _number(float(triage.confidence[place])),
        _number(float(triage.true_probability[place])),
        _number(float(triage.margin[place])),
        _name(int(decisions.without[place]), classes),
        _number(float(decisions.true_probability_without[place])),
        _number(float(decisions.corrected_by_chance[place])),
        _name(int(decisions.alone[place]), classes),
        _number(float(decisions.true_probability_alone[place])),
        _number(float(decisions.right_by_chance[place])),
        verdict(triage, place),
        "" if group == NO_GROUP else triage.groups.groups[group].name,
        f"a guess: {classes[perhaps]}" if triage.suspect[place] else "",
        _number(float(triage.perhaps_by[place])),
    ]


def _name(index: int, classes: Sequence[str]) -> str:
    return "" if index == NO_MAP else classes[index]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
