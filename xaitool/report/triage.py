"""The report's section on the mistakes: what they rest on, which are alike, and which may be the label's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from xaitool import figures
from xaitool.report.drawing import Drawing
from xaitool.report.head import image_link
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
    shown = {each["id"] for each in run.explained} if run.explains else set()
    parts = [*_groups(triage["groups"], shown), _most_confident(run.mistakes, shown, triage["label_noise"])]
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


def _image(name: str, shown: Collection[str]) -> str:
    """An image's id: a link to it, where the gallery has it."""
    return Markup('<a href="{}">{}</a>').format(image_link(name), name) if name in shown else name


def _groups(groups: list[dict[str, Any]], shown: Collection[str]) -> list[Section]:
    rows = [
        (
            each["name"],
            f"{each['size']:,}",
            f"{each['confidence']:.1%}",
            Markup(", ").join(_image(name, shown) for name in each["examples"]),
        )
        for each in groups
    ]
    if not rows:
        return []
    columns = ("Group", "Mistakes", "Mean confidence", "Examples")
    return [Section("Alike mistakes", "Examples are those nearest a group's centre.", table=Table(columns, rows))]


_COLUMNS = (
    "Image", "True", "Predicted", "Confidence", "Margin", "Without the predicted class's evidence",
    "With the true class's evidence alone",
)  # fmt: skip
_SUSPECTED = "Likely label noise, a guess"


def _most_confident(mistakes: list[dict[str, str]], shown: Collection[str], noise: Mapping[str, Any]) -> Section:
    """The mistakes that the model is surest of."""
    listed = sorted(mistakes, key=lambda each: (-float(each["confidence"]), -float(each["margin"])))[:_LISTED]

    suspected = bool(noise["suspect"]) and not noise.get("withheld")

    def decided(found: str, true: str) -> str:
        return f"{found or 'no map'}{' (right)' if found == true else ''}"

    rows = [
        (
            _image(each["id"], shown),
            each["true"],
            each["predicted"],
            f"{float(each['confidence']):.1%}",
            f"{float(each['margin']):.3f}",
            decided(each["without_predicted_evidence"], each["true"]),
            decided(each["with_true_evidence_alone"], each["true"]),
            *([each["likely_label_noise"].replace("a guess: ", "perhaps ")] if suspected else []),
        )
        for each in listed
    ]
    text = [
        f"The {len(rows):,} that the model is surest of." if len(rows) > 1 else "",
        "The margin is the predicted class's probability less the true one's.",
        f"triage.csv has all {len(mistakes):,} mistakes." if len(mistakes) > len(rows) else "",
    ]
    columns = (*_COLUMNS, *([_SUSPECTED] if suspected else []))
    return Section("The most confident mistakes", " ".join(filter(None, text)), table=Table(columns, rows))
