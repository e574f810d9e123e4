"""The verdict: what the numbers say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from xaitool.judge.intervals import Interval

# With fewer images a bootstrap interval is too narrow to be trusted.
FEWEST = 30
# What is said of fewer of the images is not said of the explainer, which chose the others to have no map.
LEAST_COVERAGE = 0.8
# An effect that takes more images than this is too small to plan for.
MOST_NEEDED = 10_000
# Rank correlation with the maps of a network whose weights are random: from here on, the maps are the same.
SAME_MAP = 0.5

# The smallest difference that means anything, as a part of a metric's range: one point of probability for an area
# between deletion curves. An untrained network's decisions hardly move whatever is taken away; with enough images a map
# of it would be better than the controls by a thousandth.
MARGIN = 0.005

Faithfulness = Literal["too few images", "says nothing", "image-specific", "faithful"]
Model = Literal["about the model", "ignores the weights"]
Object = Literal["finds the object", "does not find the object"]


def margin_of(scores: tuple[float, float]) -> float:
    """The smallest difference that means anything in a metric of this range; 0 where the range is infinite."""
    width = scores[1] - scores[0]
    return MARGIN * width if math.isfinite(width) else 0.0


@dataclass(frozen=True)
class Comparison:
    """An explainer against one control on the same images.

    control: the control's own score. difference: how much better the explainer is, image by image (above 0: better).
    margin: a difference smaller than this means nothing, however many images show it.
    """

    name: str
    control: Interval
    difference: Interval
    margin: float = 0.0

    @property
    def measured(self) -> bool:
        """Whether both have a score on enough images to be compared."""
        return self.difference.n >= FEWEST

    @property
    def beaten(self) -> bool:
        """Whether the explainer is better beyond chance, and by enough to mean anything."""
        return self.difference.low > 0 and self.difference.mean >= self.margin

    @property
    def better(self) -> bool:
        """Whether the control is better than the explainer beyond chance."""
        return self.difference.high < 0

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        found = {"difference": self.difference.as_dict(), "measured": self.measured, "beaten": self.beaten}
        return {"name": self.name, **self.control.as_dict(), **found, "margin": self.margin}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        own, difference = Interval.from_dict(record), Interval.from_dict(record["difference"])
        return cls(record["name"], own, difference, record["margin"])


@dataclass(frozen=True)
class Coverage:
    """On how many of the images an explainer's maps have a score; left_out: how many of the others, by reason."""

    scored: int
    images: int
    left_out: Mapping[str, int]

    @property
    def part(self) -> float:
        """Of the images, 0..1."""
        return self.scored / self.images if self.images else 0.0

    @property
    def enough(self) -> bool:
        """Whether what is said of these images can be said of the explainer."""
        return self.part >= LEAST_COVERAGE

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {"scored": self.scored, "images": self.images, "part": self.part, "left_out": dict(self.left_out)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        return cls(record["scored"], record["images"], record["left_out"])

    def missing(self) -> str:
        """``36 of 60 are constant``: why the others have no score."""
        of = f"of {self.images:,} are"
        return ", ".join(f"{count:,} {of} {reason.removesuffix(' map')}" for reason, count in self.left_out.items())

    def words(self) -> str:
        """``on 24 of 60 images; 36 of 60 are constant``."""
        return "; ".join(filter(None, [f"on {self.scored:,} of {self.images:,} images", self.missing()]))


@dataclass(frozen=True)
class Verdict:
    """What can be said of an explainer, on this model and these data.

    faithfulness: ``says nothing`` (no better than its own maps dealt to other images), ``image-specific`` (better than
    those, but not clearly than a control that knows nothing of the model: `rival`), ``faithful`` (better than all
    controls), or ``too few images`` (`needed`: how many it would take, where that can be told); None: not measured.
    model: whether other weights give other maps. object: whether the maps find the object, better than chance and than
    every control. Both None where not measured; `model` also where that cannot be told, and never ``about the model``
    where the maps say nothing. coverage: on how many images faithfulness was measured; None: on all.
    """

    faithfulness: Faithfulness | None
    rival: Comparison | None = None
    needed: int | None = None
    model: Model | None = None
    object: Object | None = None
    coverage: Coverage | None = None

    @property
    def partial(self) -> Coverage | None:
        """The coverage, where that is less than a verdict on the explainer takes."""
        return self.coverage if self.coverage and not self.coverage.enough else None

    @property
    def contradictory(self) -> bool:
        """Whether the decision hangs on what the maps mark, and yet other weights give the same maps."""
        return self.faithfulness == "faithful" and self.model == "ignores the weights"

    @property
    def unusable(self) -> bool:
        """Whether there are too few images because most of the maps have no score."""
        return self.faithfulness == "too few images" and self.coverage is not None and self.coverage.part < 0.5

    def words(self) -> str:
        """``image-specific, but a centred Gaussian does better (by 0.066); about the model; finds the object``."""
        said = [*filter(None, (self._faithfulness(), self.model, self.object))]
        if self.contradictory:
            said[:2] = [", but ".join(said[:2])]
        return "; ".join(said) or "not judged"

    def meets(self, requirement: str) -> bool:
        """Whether it is at least as good as a recipe's ``explain.require`` asks."""
        match requirement:
            case "image_specific":
                return self.faithfulness in ("image-specific", "faithful")
            case "faithful":
                return self.faithfulness == "faithful" and not self.partial
            case "about_the_model":
                return self.model == "about the model"
            case "finds_the_object":
                return self.object == "finds the object"
        raise ValueError(f"unknown requirement {requirement!r}")

    def _faithfulness(self) -> str | None:
        if self.faithfulness == "too few images":
            return f"too few {self.too_few()}"
        part = f" ({self.partial.words()})" if self.partial else ""
        if self.faithfulness == "image-specific" and self.rival:
            return f"image-specific{part}, but {_outdone(self.rival)}"
        return self.faithfulness and f"{self.faithfulness}{part}"

    def too_few(self) -> str:
        """What there is too little of, and how much it would take: ``images (it would take about 120)``."""
        if self.unusable and self.coverage:
            return f"usable maps ({self.coverage.missing() or self.coverage.words()})"
        if self.needed is None:
            return f"images (it takes {FEWEST} at least)"
        more = f"more than {MOST_NEEDED:,}" if self.needed > MOST_NEEDED else f"about {self.needed:,}"
        return f"images (it would take {more})"


def _outdone(rival: Comparison) -> str:
    """How an explainer does against a control that it does not beat, with how far it is ahead of it, or behind."""
    lead = rival.difference.mean
    if rival.better:
        return f"{rival.name} does better (by {-lead:.3f})"
    side = "behind" if round(lead, 3) < 0 else "ahead"
    return f"not clearly better than {rival.name} ({side} by {abs(lead):.3f})"


def of_faithfulness(null: Comparison, controls: Sequence[Comparison], coverage: Coverage | None = None) -> Verdict:
    """The verdict on faithfulness from the comparison with the explainer's dealt maps and with the fixed controls.

    A control that has a score on too few images is no rival. coverage: how many images the explainer has a score on.
    """
    if not null.measured:
        verdict = Verdict("too few images", coverage=coverage)
        return verdict if verdict.unusable else replace(verdict, needed=_needed(null, coverage))
    if not null.beaten:
        return Verdict("says nothing", coverage=coverage)
    rivals = [each for each in controls if each.measured and not each.beaten]
    if rivals:
        rival = min(rivals, key=lambda each: each.difference.mean)
        return Verdict("image-specific", rival=rival, coverage=coverage)
    return Verdict("faithful", coverage=coverage)


def _needed(null: Comparison, coverage: Coverage | None) -> int | None:
    """How many images it would take to tell a difference that is worth telling; one above the cap where it is more."""
    images = null.difference.images_needed()
    if images is None or null.difference.mean < max(null.margin, 0):
        return None
    return min(math.ceil(max(FEWEST, images) / (coverage.part if coverage else 1)), MOST_NEEDED + 1)


def of_model(correlation: Interval) -> Model | None:
    """The verdict on the rank correlation with the maps of a network whose weights are random; None: cannot be told."""
    if correlation.n >= FEWEST and correlation.high < SAME_MAP:
        return "about the model"
    if correlation.n >= FEWEST and correlation.low >= SAME_MAP:
        return "ignores the weights"
    return None


def of_object(chance: Comparison, controls: Sequence[Comparison]) -> Object | None:
    """The verdict on how much of a map lies on the object, against chance and against the controls."""
    if not chance.measured:
        return None
    beaten = all(each.beaten for each in (chance, *controls) if each.measured)
    return "finds the object" if beaten else "does not find the object"
