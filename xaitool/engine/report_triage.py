"""The report's section on the mistakes: what they rest on, which are alike, and which may be the label's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xaitool import figures
from xaitool.engine.explain import Explained
from xaitool.engine.explaining import Trained
from xaitool.engine.pictures import pictures
from xaitool.report import Section, Table
from xaitool.triage.decisions import NO_MAP
from xaitool.triage.result import Triage
from xaitool.triage.words import by_topic, opening

if TYPE_CHECKING:
    from xaitool.engine.report_verdicts import AddFigure

# Mistakes in the table, and in the picture.
_LISTED, _DRAWN = 15, 12


def triage_sections(triage: Triage | None, trained: Trained, explained: Explained, add: AddFigure) -> list[Section]:
    """The section, where mistakes were looked at."""
    if triage is None:
        return []
    parts = [*_maps(triage, trained, explained, add), *_groups(triage), _most_confident(triage, trained)]
    return [Section("Why is it wrong?", opening(triage), terms=list(by_topic(triage).items()), parts=parts)]


def _maps(triage: Triage, trained: Trained, explained: Explained, add: AddFigure) -> Iterator[Section]:
    """Some of the explained mistakes with both classes' maps, where the recipe asks for these."""
    data, evaluation = trained.data, trained.evaluation
    some = (~evaluation.correct[explained.rows]).nonzero()[:_DRAWN, 0]
    maps = explained.maps.get(triage.explainer, {})
    if not len(some) or not {"predicted", "true"} <= maps.keys():
        return
    rows, chosen = explained.rows[some], some.numpy()
    drawn = figures.differences(
        pictures(data, explained.images[some]),
        maps["predicted"][chosen],
        maps["true"][chosen],
        evaluation.labels[rows].numpy(),
        evaluation.predicted[rows].numpy(),
        evaluation.confidence[rows].numpy(),
        data.classes,
    )
    picture = add(
        "triage_differences",
        drawn,
        f"{len(rows)} misclassified test images, each with the maps of {triage.explainer} for the predicted and for "
        "the true class, and the difference of the two.",
        f"Maps of {triage.explainer}. The difference is of the two maps as it gives them. Those of CAM methods have a "
        "scale of their own, from 0 to 1: the difference then tells where each class has its evidence, not which of "
        "the two has more.",
    )
    yield Section("Evidence for both classes", figures=[picture])


def _groups(triage: Triage) -> Iterator[Section]:
    rows = [
        (each.name, f"{each.size:,}", f"{each.confidence:.1%}", ", ".join(each.examples))
        for each in triage.groups.groups
    ]
    if rows:
        columns = ("Group", "Mistakes", "Mean confidence", "Examples")
        yield Section("Alike mistakes", "Examples are those nearest a group's centre.", table=Table(columns, rows))


_COLUMNS = (
    "Image", "True", "Predicted", "Confidence", "Margin", "Without the predicted class's evidence",
    "With the true class's evidence alone", "Likely label noise, a guess",
)  # fmt: skip


def _most_confident(triage: Triage, trained: Trained) -> Section:
    """The mistakes with the largest margin."""
    data, decisions = trained.data, triage.decisions

    def decided(found: int, true: int) -> str:
        return "no map" if found == NO_MAP else f"{data.classes[found]}{' (right)' if found == true else ''}"

    rows = []
    for place in triage.most_confident_first()[:_LISTED].tolist():
        true, perhaps = int(triage.true[place]), int(triage.perhaps[place])
        rows.append(
            (
                data.test_ids[int(triage.rows[place])],
                data.classes[true],
                data.classes[int(triage.predicted[place])],
                f"{float(triage.confidence[place]):.1%}",
                f"{float(triage.margin[place]):.3f}",
                decided(int(decisions.without[place]), true),
                decided(int(decisions.alone[place]), true),
                f"perhaps {data.classes[perhaps]}" if triage.suspect[place] else "",
            )
        )
    text = (
        f"The {len(rows)} with the largest margin, which is the predicted class's probability less the true one's. "
        f"triage.csv has all {len(triage.rows):,} mistakes."
    )
    return Section("The most confident mistakes", text, table=Table(_COLUMNS, rows))
