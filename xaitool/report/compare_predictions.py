"""The comparison's section on predictions: which classes and how many images one run gets right and the other wrong."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from xaitool.judge.intervals import Interval
from xaitool.judge.verdict import FEWEST
from xaitool.percent import percent
from xaitool.report.compare_pair import Pair, lead, points
from xaitool.report.model import Section, Table

# Classes in the table: beyond, those of the greatest differences.
_MOST_CLASSES = 40


class Counts(NamedTuple):
    """Images that both, only A, only B or neither gets right."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def images(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def lead(self) -> Interval:
        """B's share of right answers less A's."""
        return lead(self.only_a, self.only_b, self.images)


def counts_of(pair: Pair) -> Counts:
    """Over all test images."""
    return _counts(Counter(zip(*map(list, pair.right), strict=True)))


def predictions_section(pair: Pair) -> Section:
    """Images right in one and wrong in the other, and recall class by class."""
    if pair.apart:
        return Section("Where they differ", pair.apart, parts=[_classes(pair)], name="differences")
    counts = counts_of(pair)
    text = (
        f"A gets {counts.only_a:,} images right that B gets wrong; B gets {counts.only_b:,} right that A gets wrong."
        if counts.only_a or counts.only_b
        else "There is no image that one gets right and the other wrong."
    )
    rows = [
        ("Right in both", f"{counts.both:,}"),
        ("Only A is right", f"{counts.only_a:,}"),
        ("Only B is right", f"{counts.only_b:,}"),
        ("Wrong in both", f"{counts.neither:,}"),
    ]
    shares = [(name, count, percent(value / counts.images)) for (name, count), value in zip(rows, counts, strict=True)]
    table = Table(("Test images", "Count", "Share"), shares)
    return Section("Where they differ", text, table=table, parts=[_classes(pair)], name="differences")


def _classes(pair: Pair) -> Section:
    a, b = (run.metrics["per_class"] for _, run in pair)
    shared = [name for name in a if name in b and a[name]["images"] and b[name]["images"]]
    recall = {name: (a[name]["recall"], b[name]["recall"]) for name in shared}
    order = sorted(shared, key=lambda name: -abs(recall[name][1] - recall[name][0]))
    counts = _counts_by_class(pair)
    rows = [_class_row(name, *recall[name], counts.get(name)) for name in order[:_MOST_CLASSES]]
    said = [
        f"The {_MOST_CLASSES} of {len(order):,} classes whose recall differs most."
        if len(order) > _MOST_CLASSES
        else "The greatest difference comes first."
    ]
    if counts:
        said.append(
            f"Intervals are paired, over the same test images; a class of fewer than {FEWEST} has none. Of twenty "
            "intervals about one misses the truth, so one class that stands out among many need not mean anything."
        )
    elif shared:
        said.append("There are no intervals, as the test images are not known to be the same.")
    for name, other, extra in (("A", "B", set(a) - set(b)), ("B", "A", set(b) - set(a))):
        if extra:
            said.append(f"{name} has {len(extra):,} class{'es' * (len(extra) > 1)} that {other} has not.")
    if not rows:
        return Section("Class by class", "The runs have no class in common that both were tested on.")
    columns = ("Class", "Found by A", "Found by B", "B − A in points", "95% interval", "Only A", "Only B", "Images")
    return Section("Class by class", " ".join(said), table=Table(columns, rows))


def _class_row(name: str, a: float, b: float, counts: Counts | None) -> tuple[str, ...]:
    if counts is None:
        return name, percent(a), percent(b), points(b - a), "–", "–", "–", "–"
    return (
        name,
        percent(a),
        percent(b),
        points(b - a),
        between(counts.lead),
        f"{counts.only_a:,}",
        f"{counts.only_b:,}",
        f"{counts.images:,}",
    )


def between(interval: Interval) -> str:
    """``−1.2 to +3.4``, in points; ``–`` where there are too few images for an interval."""
    return "–" if interval.n < FEWEST else f"{points(interval.low)} to {points(interval.high)}"


def _counts_by_class(pair: Pair) -> dict[str, Counts]:
    found: dict[str, Counter[tuple[bool, bool]]] = {}
    for (row, _), a, b in zip(pair.rows, *map(list, pair.right), strict=True):
        found.setdefault(row["true"], Counter())[bool(a), bool(b)] += 1
    return {name: _counts(each) for name, each in found.items()}


def _counts(found: Counter[tuple[bool, bool]]) -> Counts:
    return Counts(found[True, True], found[True, False], found[False, True], found[False, False])
