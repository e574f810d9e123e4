"""The report's section on mistakes: what is taken for what, class by class, and how sure the model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from xaitool import figures
from xaitool.report.drawing import Drawing
from xaitool.report.head import quote
from xaitool.report.model import Section, Table
from xaitool.report.render import part

if TYPE_CHECKING:
    from xaitool.results import Run

# Classes of a matrix that can still be read; beyond, the commonest confusions are listed.
_MOST_CLASSES, _LISTED = 30, 40
# Shades of a cell.
_SHADES = 5


@dataclass(frozen=True)
class _Cell:
    """One pair of true and predicted class: the count, its shade, and the view of the gallery that it leads to."""

    count: int
    true: str
    predicted: str
    shade: str
    link: str


def mistakes_sections(run: Run, draw: Drawing) -> list[Section]:
    """The confusion matrix, whose cells lead to the gallery; each class; calibration: where there are test results."""
    if not run.tested:
        return []
    metrics = run.metrics
    classes, counts = list(metrics["per_class"]), np.array(metrics["confusion"])
    draw.keep("confusion_matrix", figures.confusion_matrix(counts, classes))
    wrong = metrics["misclassified"]
    text = f"{wrong:,} of {metrics['images']:,} test images get the wrong class." if wrong else "There are none."
    calibration = metrics["calibration"]
    diagram = draw.chart(
        "reliability",
        figures.reliability(calibration["bins"], calibration["ece"]),
        "Reliability diagram: accuracy against confidence in fifteen bins; the figures are in the table.",
        "In each bar, the images whose predicted class has about this probability: how many of them are right. Bars "
        "below the dashed line: the model is surer than it should be.",
    )
    parts = [
        Section(
            "What is taken for what",
            "A number leads to its images among those that are explained.",
            html=_pairs(counts, classes),
        ),
        Section("Class by class", table=_per_class(metrics["per_class"])),
        Section(
            "Is the model as sure as it is right?",
            figures=[diagram],
            parts=[Section("The figures", table=_bins(calibration), folded=True)],
        ),
    ]
    return [Section("Where does it fail?", text, parts=parts, name="mistakes")]


def _pairs(counts: Any, classes: list[str]) -> Markup:
    if len(classes) > _MOST_CLASSES:
        commonest = sorted(
            (_cell(counts, classes, int(row), int(column)) for row, column in np.argwhere(counts) if row != column),
            key=lambda cell: -cell.count,
        )
        return part("confusion_pairs.html", cells=commonest[:_LISTED], pairs=len(commonest))
    rows = [[_cell(counts, classes, row, column) for column in range(len(classes))] for row in range(len(classes))]
    return part("confusion.html", classes=classes, rows=rows)


def _cell(counts: Any, classes: list[str], row: int, column: int) -> _Cell:
    """The diagonal has shades of its own: it would outshine the mistakes."""
    count, right = int(counts[row, column]), row == column
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    most = counts.sum(1).max() if right else mistakes.max()
    shade = f"{'right' if right else 'wrong'}-{int(np.ceil(_SHADES * count / most))}" if count else "none"
    true, predicted = classes[row], classes[column]
    link = f"#gallery&true={quote(true)}&predicted={quote(predicted)}"
    return _Cell(count, true, predicted, shade, link)


def _per_class(per_class: dict[str, Any]) -> Table:
    def share(value: float, of: int) -> str:
        return f"{value:.1%}" if of else "–"

    rows = [
        (
            name,
            share(each["recall"], each["images"]),
            share(each["precision"], each["predicted"]),
            share(each["confidence"], each["predicted"]),
            f"{each['images']:,}",
            f"{each['predicted']:,}",
        )
        for name, each in per_class.items()
    ]
    columns = ("Class", "Found (recall)", "Right when named (precision)", "How sure when named", "Images", "Named")
    return Table(columns, rows)


def _bins(calibration: dict[str, Any]) -> Table:
    rows = [
        (
            f"{each['low']:.0%} to {each['high']:.0%}",
            f"{each['images']:,}",
            f"{each['accuracy']:.1%}",
            f"{each['confidence']:.1%}",
        )
        for each in calibration["bins"]
        if each["images"]
    ]
    return Table(("Confidence", "Images", "Accuracy", "Mean confidence"), rows)
