"""Two runs that are to be compared: the images that both were tested on, and their maps of the same images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xaitool.files import filename
from xaitool.judge.intervals import LEVEL, RESAMPLES, Interval

if TYPE_CHECKING:
    from xaitool.results import Run

Array = npt.NDArray[Any]
Row = dict[str, str]

# A picture's values, of 255, that rounding may change where two runs normalise with other means.
_ROUNDING = 2


@dataclass(frozen=True)
class Pair:
    """Run A and run B, both with test results."""

    a: Run
    b: Run

    def __iter__(self) -> Iterator[tuple[str, Run]]:
        return iter((("A", self.a), ("B", self.b)))

    @cached_property
    def apart(self) -> str:
        """Why the test images cannot be compared one by one, in a sentence; empty where they can."""
        one, other = ({row["id"]: row["true"] for row in run.predictions} for _, run in self)
        if set(self.a.metrics["per_class"]) != set(self.b.metrics["per_class"]):
            return "The runs tell different classes apart, so their predictions cannot be compared image by image."
        if one != other:
            return (
                f"The runs were tested on different images ({len(one):,} and {len(other):,}), so they cannot be "
                "compared image by image."
            )
        if fingerprint(self.a) != fingerprint(self.b) and not self._look_alike():
            return (
                "The data have different fingerprints, and nothing shows that the test images are the same, so they "
                "are not compared image by image."
            )
        return ""

    @cached_property
    def rows(self) -> list[tuple[Row, Row]]:
        """What A and B predict for each test image, in A's order; empty where the images are not the same."""
        if self.apart:
            return []
        of_b = {row["id"]: row for row in self.b.predictions}
        return [(row, of_b[row["id"]]) for row in self.a.predictions]

    @cached_property
    def right(self) -> tuple[Array, Array]:
        """Whether A, and whether B, is right about each of the images: N bools each."""
        a, b = ([row[place]["correct"] == "1" for row in self.rows] for place in (0, 1))
        return np.array(a, bool), np.array(b, bool)

    @cached_property
    def maps(self) -> tuple[dict[str, dict[str, Array]], dict[str, dict[str, Array]]]:
        """A's and B's maps for the class that each of them predicts: explainer -> image's id -> H×W."""
        return maps_of(self.a), maps_of(self.b)

    @cached_property
    def pictures(self) -> dict[str, Array]:
        """The images that A has maps of, by id: H×W×3 uint8."""
        return pictures_of(self.a)

    def _look_alike(self) -> bool:
        """Whether both runs kept pictures of the same images, and they are the same pictures."""
        theirs = pictures_of(self.b)
        shared = self.pictures.keys() & theirs.keys()
        return bool(shared) and all(_same(self.pictures[name], theirs[name]) for name in shared)


def fingerprint(run: Run) -> str:
    """The digest of a run's data."""
    return str(run.journal["stages"]["data"]["fingerprint"])


def maps_of(run: Run) -> dict[str, dict[str, Array]]:
    """Every map that a run keeps for the predicted class: explainer -> image's id -> H×W float32."""
    found: dict[str, dict[str, Array]] = {}
    if "predicted" in run.targets:
        for label in run.methods:
            found.setdefault(label, {}).update(_by_id(run.explained, run.maps(label)))
    for label in run.judged.judgements:
        if (run.folder / "judged" / f"{filename(label)}.npy").is_file():
            found.setdefault(label, {}).update(_by_id(run.judged_images, run.judged_maps(label)))
    return found


def pictures_of(run: Run) -> dict[str, Array]:
    """The images that a run kept, explained or judged, by id: H×W×3 uint8."""
    found = _by_id(run.explained, run.images) if (run.folder / "explanations" / "images.npy").is_file() else {}
    if (run.folder / "judged" / "images.npy").is_file():
        found |= _by_id(run.judged_images, run.judged_pixels)
    return found


def lead(only_a: int, only_b: int, images: int, seed: int = 0) -> Interval:
    """B's share of right answers less A's, over the same images, with its paired bootstrap interval.

    The same as :func:`xaitool.judge.intervals.interval` of the differences -1, 0 and 1; only the three are resampled.
    """
    if not images:
        return Interval(np.nan, np.nan, np.nan, 0, np.nan)
    shares = np.array([only_a, only_b, images - only_a - only_b]) / images
    counts = np.random.default_rng(seed).multinomial(images, shares, size=RESAMPLES)
    low, high = np.quantile((counts[:, 1] - counts[:, 0]) / images, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    mean = (only_b - only_a) / images
    spread = np.sqrt(((only_a + only_b) - images * mean**2) / (images - 1)) if images > 1 else np.nan
    return Interval(mean, float(low), float(high), images, float(spread))


def points(share: float, signed: bool = True) -> str:
    """Hundredths: ``+3.9``."""
    value = round(100 * share, 1) + 0.0  # no −0.0
    return (f"{value:+.1f}" if signed else f"{value:.1f}").replace("-", "−")


def _by_id(rows: list[Row], values: Array) -> dict[str, Array]:
    return {row["id"]: value for row, value in zip(rows, values, strict=True)}


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and int(np.abs(one.astype(int) - other.astype(int)).max()) <= _ROUNDING
