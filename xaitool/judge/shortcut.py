"""What came of a planted shortcut: whether the model uses it, and whether the explainers show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from xaitool.judge.intervals import Interval
from xaitool.judge.verdict import FEWEST
from xaitool.percent import percent

# The model uses the patch where it turns at least this part of the other classes' images into the target, or where at
# least this part of the target's own images is recognised with it only.
LEAST_EFFECT = 0.05
# A map shows the patch where it holds, beyond doubt, at least this many times the evidence that chance would put there.
LEAST_RATIO = 2.0


@dataclass(frozen=True)
class Pair:
    """The same share of the same images, 0..1, without the patch and with it; NaN where there are no such images."""

    without: float
    with_patch: float

    def as_dict(self) -> dict[str, float]:
        """As ``shortcut.json`` has it."""
        return {"without_patch": self.without, "with_patch": self.with_patch}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        return cls(*(math.nan if record[key] is None else record[key] for key in ("without_patch", "with_patch")))


@dataclass(frozen=True)
class Effect:
    """What the patch does to predictions, all else in the images being equal.

    accuracy: on all test images. own: accuracy on those of the target's class. others: accuracy on those of other
    classes. taken: the share of these that is taken for the target. rise, gain: how much the patch adds to `taken` and
    to `own`, image by image, -1..1: what it does alone, and what is missed where it is missing.
    """

    accuracy: Pair
    own: Pair
    others: Pair
    taken: Pair
    rise: Interval
    gain: Interval

    @property
    def takes(self) -> bool:
        """Whether the patch makes the model take other classes' images for the target."""
        return _counts(self.rise)

    @property
    def needs(self) -> bool:
        """Whether the model misses the target's own images where the patch is missing."""
        return _counts(self.gain)

    @property
    def cheats(self) -> bool | None:
        """Whether the model uses the patch, for other classes' images or for the target's own; None: cannot be told.

        That it does not takes both intervals: a large effect may hide in a wide one, or in too few images.
        """
        if self.takes or self.needs:
            return True
        return False if _excluded(self.rise) and _excluded(self.gain) else None

    def as_dict(self) -> dict[str, Any]:
        """As ``shortcut.json`` has it."""
        pairs = {name: getattr(self, name).as_dict() for name in ("accuracy", "own", "others", "taken")}
        return {**pairs, "rise": self.rise.as_dict(), "gain": self.gain.as_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        accuracy, own, others, taken = (Pair.from_dict(record[name]) for name in ("accuracy", "own", "others", "taken"))
        return cls(accuracy, own, others, taken, Interval.from_dict(record["rise"]), Interval.from_dict(record["gain"]))


@dataclass(frozen=True)
class Pointing:
    """How much of an explainer's evidence for the target lies on the patch, over images that have it.

    share: of a map's positive mass, 0..1; empty maps have none and are left out. chance: the patch's part of the image.
    ratio: the localisation ratio, share over chance: 1 for a map that knows nothing.
    """

    share: Interval
    chance: float
    ratio: Interval

    @property
    def shows(self) -> bool:
        """Whether the maps point at the patch: beyond doubt, and clearly enough for a person to see."""
        return self.share.n >= FEWEST and self.ratio.low >= LEAST_RATIO

    def words(self) -> str:
        """``41% of its evidence lies on the patch, 26 times chance``."""
        if not self.share.n:
            return "its maps are empty"
        few = f" (on no more than {self.share.n} images)" if self.share.n < FEWEST else ""
        return (
            f"{percent(self.share.mean, 0)} of its evidence lies on the patch, {self.ratio.mean:.2g} times chance{few}"
        )

    def as_dict(self) -> dict[str, Any]:
        """As ``shortcut.json`` has it."""
        return {
            "share": self.share.as_dict(),
            "chance": self.chance,
            "ratio": self.ratio.as_dict(),
            "shows": self.shows,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        chance = math.nan if record["chance"] is None else record["chance"]
        return cls(Interval.from_dict(record["share"]), chance, Interval.from_dict(record["ratio"]))


@dataclass(frozen=True)
class Finding:
    """What came of a planted shortcut.

    target: the class it gives away. strength: how closely it went with it in training. effect: of the patch on the
    model. pointing: by explainer's label.
    """

    target: str
    strength: float
    effect: Effect
    pointing: Mapping[str, Pointing] = field(default_factory=dict)

    @property
    def cheats(self) -> bool | None:
        """See :attr:`Effect.cheats`."""
        return self.effect.cheats

    def sentence(self) -> str:
        """The finding in one sentence."""
        effect, rise, gain = self.effect, self.effect.rise, self.effect.gain
        match self.cheats:
            case None:
                images = f"{rise.n:,} images of other classes and {gain.n:,} of “{self.target}”"
                said = [f"Whether the model uses the planted patch cannot be told from {images}"]
                if min(rise.n, gain.n) >= FEWEST:
                    said = [f"{said[0]}: with it, {self._taken()}, and {self._recognised()}; the change may be chance"]
            case True:
                uses = [*([self._taken()] if effect.takes else []), *([self._recognised()] if effect.needs else [])]
                said = [f"The model uses a shortcut: with the patch, {', and '.join(uses)}"]
                said += [
                    f"{label} {'shows it' if each.shows else 'does not show it'}: {each.words()}"
                    for label, each in self.pointing.items()
                ]
            case False:
                said = [f"The model does not use the planted patch: with it, {self._taken()}, and {self._recognised()}"]
                if rise.low > 0 or gain.low > 0:
                    said[0] += f", which is less than the {100 * LEAST_EFFECT:.0f} points that count"
                said += [
                    f"{label} points at it all the same: {each.words()}"
                    for label, each in self.pointing.items()
                    if each.shows
                ]
        return "; ".join(said) + "."

    def _taken(self) -> str:
        return _twice(self.effect.taken, f"of the images of other classes are taken for “{self.target}”")

    def _recognised(self) -> str:
        return _twice(self.effect.own, f"of those of “{self.target}” are recognised")

    def as_dict(self) -> dict[str, Any]:
        """``shortcut.json``."""
        return {
            "target": self.target,
            "strength": self.strength,
            "cheats": self.cheats,
            "sentence": self.sentence(),
            "effect": self.effect.as_dict(),
            "explainers": {label: each.as_dict() for label, each in self.pointing.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        pointing = {label: Pointing.from_dict(each) for label, each in record["explainers"].items()}
        return cls(record["target"], record["strength"], Effect.from_dict(record["effect"]), pointing)


def _counts(change: Interval) -> bool:
    """Whether the patch adds enough to count, beyond chance."""
    return change.n >= FEWEST and change.low > 0 and change.mean >= LEAST_EFFECT


def _excluded(change: Interval) -> bool:
    """Whether it can be ruled out that the patch adds enough to count."""
    return change.n >= FEWEST and change.high < LEAST_EFFECT


def _twice(pair: Pair, what: str) -> str:
    return f"{percent(pair.with_patch, 0)} {what} (without it {percent(pair.without, 0)})"
