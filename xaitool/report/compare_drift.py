"""Explanation drift: how alike two models' maps of the same images are (Spearman's rank correlation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaitool.judge.intervals import Interval, interval
from xaitool.judge.verdict import FEWEST
from xaitool.report.compare_pair import Array, Pair
from xaitool.report.model import Section, Table
from xaitool.report.wording import bounds, number

_TITLE = "Explanation drift"
_SEED = 0


@dataclass(frozen=True)
class Drift:
    """One explainer's maps in A and in B.

    alike: mean rank correlation of the two maps of an image. chance: the same, of A's map with B's of another image.
    constant: how many images were left out, as a map that is the same everywhere has no ranks.
    """

    alike: Interval
    chance: Interval
    constant: int = 0


def drift_section(pair: Pair) -> Section:
    """A row for each explainer that both runs have."""
    if pair.apart:
        return Section(_TITLE, pair.apart, name="drift")
    a, b = pair.maps
    same_class = {one["id"] for one, other in pair.rows if one["predicted"] == other["predicted"]}
    rows, said = [], []
    for label in (each for each in a if each in b):
        ids = [each for each in a[label] if each in b[label]]
        agreed = [each for each in ids if each in same_class]
        if not agreed:
            said.append(f"{label}: there is no image that both have a map of and predict the same class for.")
        elif a[label][agreed[0]].shape != b[label][agreed[0]].shape:
            said.append(f"{label}: the maps are of different sizes, so they cannot be compared.")
        else:
            found = drift([a[label][each] for each in agreed], [b[label][each] for each in agreed])
            rows.append(_row(label, found, len(ids) - len(agreed)))
            if found.alike.n < FEWEST:
                said.append(f"{label}: with fewer than {FEWEST} images, the interval is too narrow to be trusted.")
    if not rows and not said:
        said.append("No explainer, by its label, gave maps in both runs.")
    columns = (
        "Explainer", "Rank correlation", "95% interval", "Images", "Chance level", "95% interval", "Left out",
    )  # fmt: skip
    how = (
        "How alike the maps of the same image are in A and in B: Spearman’s rank correlation over the map’s pixels. "
        "1: both rank the pixels alike; near the chance level, which is that of B’s maps of other images: the two "
        "models are explained by unrelated places although they agree on the class. Only images that both runs predict "
        "the same class for are counted, as each map is for the predicted class."
    )
    table = Table(columns, rows) if rows else None
    return Section(_TITLE, "\n".join([how, *said] if rows else said), table=table, name="drift")


def drift(of_a: Sequence[Array], of_b: Sequence[Array]) -> Drift:
    """How alike N maps (H×W) of A and of B, of the same N images in the same order, are."""
    ranked = [(ranks(one), ranks(other)) for one, other in zip(of_a, of_b, strict=True)]
    known = [(one, other) for one, other in ranked if one.any() and other.any()]
    alike = [float(one @ other) for one, other in known]
    order = np.random.default_rng(_SEED).permutation(len(known))
    dealt = [float(known[place][0] @ known[other][1]) for place, other in zip(order, np.roll(order, 1), strict=True)]
    chance = interval(dealt if len(known) > 1 else [], _SEED)
    return Drift(interval(alike, _SEED), chance, constant=len(ranked) - len(known))


def spearman(one: Array, other: Array) -> float:
    """The rank correlation of two maps of one shape, -1..1; NaN where one of them is constant or not finite."""
    a, b = ranks(one), ranks(other)
    return float(a @ b) if a.any() and b.any() else float("nan")


def ranks(saliency: Array) -> Array:
    """A map's ranks, of ties their mean, as a vector of mean 0 and length 1; zeros where there are none to be had.

    The product of two such vectors is Spearman's correlation.
    """
    values = np.asarray(saliency, np.float64).ravel()
    if not np.isfinite(values).all():
        return np.zeros_like(values)
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    centred = (np.cumsum(count) - (count - 1) / 2)[place] - (len(values) + 1) / 2
    length = np.linalg.norm(centred)
    return centred / length if length else centred


def _row(label: str, found: Drift, other_class: int) -> tuple[str, ...]:
    alike, chance = found.alike, found.chance
    left_out = {"different class": other_class, "constant map": found.constant}
    return (
        label,
        number(alike.mean),
        bounds(alike),
        f"{alike.n:,}",
        number(chance.mean),
        bounds(chance),
        ", ".join(f"{why}: {count:,}" for why, count in left_out.items() if count) or "none",
    )
