"""The report's section on mistakes: what is taken for what, class by class, and how sure the model is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from xaitool import figures
from xaitool.accuracy import with_bounds
from xaitool.judge.intervals import proportion
from xaitool.percent import percent
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
    """One pair of true and predicted class: how many images, how many of them are explained, and the cell's shade.

    link: to the view of the gallery with the explained ones; empty where there are none.
    """

    count: int
    explained: int
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
    get = "image gets" if metrics["images"] == 1 else "images get"
    text = f"{wrong:,} of {metrics['images']:,} test {get} the wrong class." if wrong else "There are no mistakes."
    calibration = metrics["calibration"]
    diagram = draw.chart(
        "reliability",
        figures.reliability(calibration["bins"], calibration["ece"]),
        "Reliability diagram: accuracy against confidence in fifteen bins; the figures are in the table.",
        "In each bar, the images whose predicted class has about this probability: how many of them are right. Bars "
        "below the dashed line: the model is surer than it should be.",
    )
    explained = Counter((each["true"], each["predicted"]) for each in run.explained) if run.explains else Counter()
    parts = [
        Section(
            "What is taken for what",
            "A number with a line under it leads to its images among those that are explained." * bool(explained),
            html=_pairs(counts, classes, explained),
        ),
        Section("Class by class", "In brackets: 95% intervals.", table=_per_class(metrics["per_class"])),
        Section(
            "Is the model as sure as it is right?",
            "Of the images that it is 80% sure of, a calibrated model gets 80% right. The calibration error is how far "
            "accuracy and confidence are apart in the bins below, on the average over all images: "
            f"{percent(calibration['ece'])}.",
            figures=[diagram],
            parts=[Section("The figures", table=_bins(calibration), folded=True)],
        ),
    ]
    return [Section("Where does it fail?", text, parts=parts, name="mistakes")]


def _pairs(counts: Any, classes: list[str], explained: Counter[tuple[str, str]]) -> Markup:
    def cell(row: int, column: int) -> _Cell:
        return _cell(counts, row, column, classes[row], classes[column], explained)

    if len(classes) > _MOST_CLASSES:
        commonest = sorted(
            (cell(int(row), int(column)) for row, column in np.argwhere(counts) if row != column),
            key=lambda cell: -cell.count,
        )
        return part("confusion_pairs.html", cells=commonest[:_LISTED], pairs=len(commonest))
    rows = [[cell(row, column) for column in range(len(classes))] for row in range(len(classes))]
    return part("confusion.html", classes=classes, rows=rows)


def _cell(counts: Any, row: int, column: int, true: str, predicted: str, explained: Counter[tuple[str, str]]) -> _Cell:
    """The diagonal has shades of its own: it would outshine the mistakes."""
    count, right = int(counts[row, column]), row == column
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    most = counts.sum(1).max() if right else mistakes.max()
    shade = f"{'right' if right else 'wrong'}-{int(np.ceil(_SHADES * count / most))}" if count else "none"
    link = f"#gallery&true={quote(true)}&predicted={quote(predicted)}"
    shown = explained[true, predicted]
    return _Cell(count, shown, true, predicted, shade, link if shown else "")


def _per_class(per_class: dict[str, Any]) -> Table:
    def share(value: float, of: int) -> str:
        return with_bounds(proportion(round(value * of), of))

    rows = [
        (
            name,
            share(each["recall"], each["images"]),
            share(each["precision"], each["predicted"]),
            percent(each["confidence"]) if each["predicted"] else "–",
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
            percent(each["accuracy"]),
            percent(each["confidence"]),
        )
        for each in calibration["bins"]
        if each["images"]
    ]
    return Table(("Confidence", "Images", "Accuracy", "Mean confidence"), rows)
