"""The verdict: what the numbers say, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xaitool.judge.intervals import Interval

# With fewer images a bootstrap interval is too narrow to be trusted.
FEWEST = 20
# Rank correlation with the maps of a network whose weights are random: from here on, the maps are the same.
SAME_MAP = 0.5

# The smallest difference that means anything, as a part of a metric's range: one point of probability for an area
# between deletion curves. An untrained network's decisions hardly move whatever is taken away; with enough images a map
# of it would be better than the controls by a thousandth.
MARGIN = 0.005

Faithfulness = Literal["too few images", "says nothing", "image-specific", "faithful"]
Model = Literal["about the model", "ignores the weights"]
Object = Literal["finds the object", "does not find the object"]


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
    def beaten(self) -> bool:
        """Whether the explainer is better beyond chance, and by enough to mean anything."""
        return self.difference.low > 0 and self.difference.mean >= self.margin

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        difference = self.difference.as_dict()
        return {"name": self.name, **self.control.as_dict(), "difference": difference, "beaten": self.beaten}


@dataclass(frozen=True)
class Verdict:
    """What can be said of an explainer, on this model and these data.

    faithfulness: ``says nothing`` (no better than its own maps dealt to other images), ``image-specific`` (better than
    those, but a control that knows nothing of the model does as well: `rival`), ``faithful`` (better than all
    controls), or ``too few images`` (`needed`: how many it would take, where that can be told); None: not measured.
    model: whether other weights give other maps. object: whether the maps find the object, better than chance and than
    every control. Both None where not measured; `model` also where the maps say nothing, of the model neither.
    """

    faithfulness: Faithfulness | None
    rival: Comparison | None = None
    needed: int | None = None
    model: Model | None = None
    object: Object | None = None

    def words(self) -> str:
        """``image-specific, but centred Gaussian does better (+0.066); about the model; finds the object``."""
        said = [*filter(None, (self._faithfulness(), self.model, self.object))]
        return "; ".join(said) or "not judged"

    def meets(self, requirement: str) -> bool:
        """Whether it is at least as good as a recipe's ``explain.require`` asks."""
        match requirement:
            case "image_specific":
                return self.faithfulness in ("image-specific", "faithful")
            case "faithful":
                return self.faithfulness == "faithful"
            case "about_the_model":
                return self.model == "about the model"
            case "finds_the_object":
                return self.object == "finds the object"
        raise ValueError(f"unknown requirement {requirement!r}")

    def _faithfulness(self) -> str | None:
        needed = f" (it would take about {self.needed:,})" if self.needed else ""
        match self.faithfulness:
            case "image-specific" if self.rival:
                lead = -self.rival.difference.mean
                does = f"does better (by {lead:.3f})" if self.rival.difference.high < 0 else "does as well"
                return f"image-specific, but {self.rival.name} {does}"
            case "too few images":
                return f"too few images{needed}"
        return self.faithfulness


def of_faithfulness(null: Comparison, controls: Sequence[Comparison]) -> Verdict:
    """The verdict on faithfulness from the comparison with the explainer's dealt maps and with the fixed controls."""
    if null.difference.n < FEWEST:
        return Verdict("too few images", needed=max(FEWEST, null.difference.images_needed() or 0))
    if not null.beaten:
        return Verdict("says nothing")
    rivals = [each for each in controls if not each.beaten]
    if rivals:
        return Verdict("image-specific", rival=min(rivals, key=lambda each: each.difference.mean))
    return Verdict("faithful")


def of_model(correlation: Interval) -> Model | None:
    """The verdict on the rank correlation with the maps of a network whose weights are random."""
    if correlation.n < FEWEST:
        return None
    return "about the model" if correlation.high < SAME_MAP else "ignores the weights"


def of_object(chance: Comparison, controls: Sequence[Comparison]) -> Object | None:
    """The verdict on how much of a map lies on the object, against chance and against the controls."""
    if chance.difference.n < FEWEST:
        return None
    return "finds the object" if all(each.beaten for each in (chance, *controls)) else "does not find the object"
