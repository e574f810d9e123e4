"""The comparison's gallery: images that one run gets right and the other wrong, with the maps of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaitool.percent import percent
from xaitool.report.compare_pair import Array, Pair, Row
from xaitool.report.gallery import Item, gallery
from xaitool.report.model import Section
from xaitool.report.sprites import BUDGET

_TITLE = "Images that one gets right and the other wrong"
_WHAT_TO_DO = (
    "Runs of the same data with the same seed are judged on the same images: a larger explain.judge.images gives more "
    "of them, and explain.select.ids names images that both are to explain."
)


def images_section(pair: Pair, budget: int = BUDGET) -> Section:
    """The gallery, in `budget` bytes, or why there is none."""
    if pair.apart:
        return Section(_TITLE, pair.apart, name="images")
    contested = [(a, b) for a, b in pair.rows if (a["correct"] == "1") != (b["correct"] == "1")]
    shown = [(a, b) for a, b in contested if a["id"] in _covered(pair)]
    if not contested:
        return Section(_TITLE, "There are none: each image is right in both or wrong in both.", name="images")
    if not shown:
        none = f"There are {len(contested):,}, but none that both runs have maps of. {_WHAT_TO_DO}"
        return Section(_TITLE, none, name="images")
    ids = [a["id"] for a, _ in shown]
    pictures = np.stack([pair.pictures[each] for each in ids])
    html = gallery([item_of(a, b) for a, b in shown], pictures, _maps(pair, ids), budget=budget)
    text = (
        f"There are {len(contested):,}, and both runs have maps of {len(shown):,} of them. Each run’s map is for the "
        "class that it predicts: the true class in one and a wrong one in the other. Predicted class, confidence and "
        "runner-up are those of the run that is wrong; “Group” says which run is right."
    )
    return Section(_TITLE, text if len(shown) == len(contested) else f"{text} {_WHAT_TO_DO}", html=html, name="images")


def item_of(a: Row, b: Row) -> Item:
    """An image that one of both is wrong about."""
    right, wrong = ("A", b) if a["correct"] == "1" else ("B", a)
    return Item(
        id=wrong["id"],
        true=wrong["true"],
        predicted=wrong["predicted"],
        confidence=float(wrong["confidence"]),
        true_probability=float(wrong["true_probability"]),
        runner_up=wrong["runner_up"],
        group=f"only {right} is right",
        notes=[("In A", _said(a)), ("In B", _said(b))],
        models={"A": a["predicted"], "B": b["predicted"]},
        remark=f"A {_outcome(a)} · B {_outcome(b)}",
    )


def _outcome(row: Row) -> str:
    return f"{'✓ right' if row['correct'] == '1' else '✗ wrong'}, {float(row['confidence']):.0%} sure"


def _said(row: Row) -> str:
    outcome = "right" if row["correct"] == "1" else "wrong"
    return f"{row['predicted']}, {percent(float(row['confidence']))} sure: {outcome}"


def _shared(pair: Pair) -> Sequence[str]:
    """The explainers of both runs; where they have none in common, all."""
    a, b = pair.maps
    return [label for label in a if label in b] or [*a, *b]


def _covered(pair: Pair) -> set[str]:
    """Images that every one of the shared explainers has maps of, in both runs."""
    a, b = pair.maps
    if not a or not b:
        return set()
    found = [set(of[label]) for label in _shared(pair) for of in pair.maps if label in of]
    return set.intersection(*found) & set(pair.pictures)


def _maps(pair: Pair, ids: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Explainer -> whose map -> N×H×W, where a run has that explainer's map of each of the images.

    The two maps are no pair for the predicted and the true class of one model, so they go by the runs' names.
    """
    found: dict[str, dict[str, Array]] = {}
    for name, of in zip(("A", "B"), pair.maps, strict=True):
        for label, known in of.items():
            if known.keys() >= set(ids):
                found.setdefault(label, {})[name] = np.stack([known[each] for each in ids])
    return found
