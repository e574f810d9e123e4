"""The report's section on the mistakes: what they rest on, which are alike, and which may be the label's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xaitool import figures
from xaitool.report.drawing import Drawing
from xaitool.report.model import Section, Table

if TYPE_CHECKING:
    from xaitool.results import Run

# Mistakes in the table, and in the picture.
_LISTED, _DRAWN = 15, 12


def triage_sections(run: Run, draw: Drawing) -> list[Section]:
    """The section, where mistakes were looked at."""
    triage = run.triage
    if triage is None:
        return []
    if draw.keeps:
        _keep_differences(run, draw, triage["explainer"])
    parts = [*_groups(triage["groups"]), _most_confident(run.mistakes)]
    terms = list(triage["topics"].items())
    return [Section("Why is it wrong?", triage["opening"], terms=terms, parts=parts, name="triage")]


def _keep_differences(run: Run, draw: Drawing, explainer: str) -> None:
    """``triage_differences.png``: some explained mistakes with both classes' maps, where the recipe asks for these."""
    some = [place for place, each in enumerate(run.explained) if each["correct"] == "0"][:_DRAWN]
    if not some or explainer not in run.methods or not {"predicted", "true"} <= set(run.targets):
        return
    classes = list(run.metrics["per_class"])
    shown = [run.explained[place] for place in some]
    drawn = figures.differences(
        run.images[some],
        run.maps(explainer, "predicted")[some],
        run.maps(explainer, "true")[some],
        [classes.index(each["true"]) for each in shown],
        [classes.index(each["predicted"]) for each in shown],
        np.array([float(each["confidence"]) for each in shown]),
        classes,
    )
    draw.keep("triage_differences", drawn)


def _groups(groups: list[dict[str, Any]]) -> list[Section]:
    rows = [
        (each["name"], f"{each['size']:,}", f"{each['confidence']:.1%}", ", ".join(each["examples"])) for each in groups
    ]
    if not rows:
        return []
    columns = ("Group", "Mistakes", "Mean confidence", "Examples")
    return [Section("Alike mistakes", "Examples are those nearest a group's centre.", table=Table(columns, rows))]


_COLUMNS = (
    "Image", "True", "Predicted", "Confidence", "Margin", "Without the predicted class's evidence",
    "With the true class's evidence alone", "Likely label noise, a guess",
)  # fmt: skip


def _most_confident(mistakes: list[dict[str, str]]) -> Section:
    """The mistakes with the largest margin."""
    listed = sorted(mistakes, key=lambda each: -float(each["margin"]))[:_LISTED]

    def decided(found: str, true: str) -> str:
        return f"{found or 'no map'}{' (right)' if found == true else ''}"

    rows = [
        (
            each["id"],
            each["true"],
            each["predicted"],
            f"{float(each['confidence']):.1%}",
            f"{float(each['margin']):.3f}",
            decided(each["without_predicted_evidence"], each["true"]),
            decided(each["with_true_evidence_alone"], each["true"]),
            each["likely_label_noise"].replace("a guess: ", "perhaps "),
        )
        for each in listed
    ]
    text = (
        f"The {len(rows)} with the largest margin, which is the predicted class's probability less the true one's. "
        f"triage.csv has all {len(mistakes):,} mistakes."
    )
    return Section("The most confident mistakes", text, table=Table(_COLUMNS, rows))
