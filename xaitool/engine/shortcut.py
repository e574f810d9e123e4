"""Did the model learn the planted shortcut, and do the explainers show it?

First causally: what becomes of an image's class when nothing but the patch is put on it. Then by explanation: how much
of a map's evidence lies on the patch. The first is the truth that the second is held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xaitool.contracts import Explainer, Images, Shortcut
from xaitool.engine.evaluate import Evaluation, evaluate
from xaitool.engine.explain import explain, gather
from xaitool.engine.progress import Display
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime
from xaitool.errors import DataUnavailableError
from xaitool.judge.intervals import Interval, interval
from xaitool.judge.verdict import FEWEST
from xaitool.recipe.schema import Settings

if TYPE_CHECKING:
    from xaitool.engine.explaining import Trained

# The model uses the patch where it turns at least this part of the other classes' images into the target, or where at
# least this part of the target's own images is recognised with it only.
LEAST_EFFECT = 0.05
# A map shows the patch where it holds, beyond doubt, at least this many times the evidence that chance would put there.
LEAST_RATIO = 2.0
# Maps of so many images are enough to tell.
_EXPLAINED = 300


@dataclass(frozen=True)
class Pair:
    """The same share of the same images, 0..1, without the patch and with it; NaN where there are no such images."""

    without: float
    with_patch: float

    def as_dict(self) -> dict[str, float]:
        """As ``shortcut.json`` has it."""
        return {"without_patch": self.without, "with_patch": self.with_patch}


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
    def cheats(self) -> bool | None:
        """Whether the model uses the patch, for other classes' images or for the target's own; None: cannot be told.

        That it does not takes both intervals: a large effect may hide in a wide one, or in too few images.
        """
        if _counts(self.rise) or _counts(self.gain):
            return True
        return False if _excluded(self.rise) and _excluded(self.gain) else None

    def as_dict(self) -> dict[str, Any]:
        """As ``shortcut.json`` has it."""
        pairs = {name: getattr(self, name).as_dict() for name in ("accuracy", "own", "others", "taken")}
        return {**pairs, "rise": self.rise.as_dict(), "gain": self.gain.as_dict()}


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
        """``41 % of its evidence lies on the patch, 26 times chance``."""
        if not self.share.n:
            return "its maps are empty"
        few = f" (on no more than {self.share.n} images)" if self.share.n < FEWEST else ""
        return f"{_percent(self.share.mean)} of its evidence lies on the patch, {self.ratio.mean:.2g} times chance{few}"

    def as_dict(self) -> dict[str, Any]:
        """As ``shortcut.json`` has it."""
        return {
            "share": self.share.as_dict(),
            "chance": self.chance,
            "ratio": self.ratio.as_dict(),
            "shows": self.shows,
        }


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
        rise, gain = self.effect.rise, self.effect.gain
        match self.cheats:
            case None:
                images = f"{rise.n:,} images of other classes and {gain.n:,} of “{self.target}”"
                said = [f"Whether the model uses the planted patch cannot be told from {images}"]
                if min(rise.n, gain.n) >= FEWEST:
                    said = [f"{said[0]}: with it, {self._taken()}, and {self._recognised()}; the change may be chance"]
            case True:
                uses = [*([self._taken()] if _counts(rise) else []), *([self._recognised()] if _counts(gain) else [])]
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


def effect_of(target: int, labels: Tensor, without: Tensor, with_patch: Tensor, seed: int) -> Effect:
    """What the patch does, from the predictions for the same images without it and with it (all N int64)."""
    own, others = labels == target, labels != target

    def share(of: Tensor, images: Tensor) -> float:
        return float(of[images].double().mean())

    def accuracy(images: Tensor) -> Pair:
        return Pair(share(without == labels, images), share(with_patch == labels, images))

    before, after = without == target, with_patch == target
    return Effect(
        accuracy=accuracy(torch.ones_like(own)),
        own=accuracy(own),
        others=accuracy(others),
        taken=Pair(share(before, others), share(after, others)),
        rise=interval((after.double() - before.double())[others].numpy(), seed),
        gain=interval((after.double() - before.double())[own].numpy(), seed),
    )


def pointing_of(maps: Tensor, masks: Tensor, seed: int) -> Pointing:
    """How much of maps (N×H×W float32) lies on the patch (N×H×W bool). Images without any of it are left out."""
    there = masks.flatten(1).any(1)
    maps, masks = maps[there].double(), masks[there]
    positive = maps.clamp(min=0)
    # 0 / 0 where nothing speaks for the class, which is no share.
    share = (positive * masks).sum((1, 2)) / positive.sum((1, 2))
    chance = masks.double().mean((1, 2))
    return Pointing(interval(share.numpy(), seed), float(chance.mean()), interval((share / chance).numpy(), seed))


def measure_shortcut(
    trained: Trained,
    explainers: Mapping[str, Explainer],
    settings: Settings,
    *,
    seed: int,
    runtime: Runtime,
    display: Display,
) -> Finding:
    """What came of the shortcut in a model's data, told by its predictions and by each explainer's maps.

    The maps are of test images that have the patch, at most 300, drawn with the seed; the class to explain is the
    shortcut's. Raises DataUnavailableError where the data have none.
    """
    data = trained.data
    shortcut = data.shortcut
    if shortcut is None:
        raise DataUnavailableError("the data have no planted shortcut to look for")

    def tested(images: Images) -> Evaluation:
        batches = runtime.loader(images, settings.train.eval_batch_size, shuffle=False, keep_workers=False)
        return evaluate(trained.model.module, batches, runtime=runtime, display=display)

    without, with_patch = tested(shortcut.without_patch), tested(shortcut.with_patch)
    effect = effect_of(
        shortcut.target, without.labels, without.predicted, with_patch.predicted, derive(seed, "shortcut", "effect")
    )

    rows = _rows_to_explain(shortcut, derive(seed, "shortcut", "rows"))
    images = gather(shortcut.with_patch, rows)
    masks = torch.stack([shortcut.masks[row] for row in rows.tolist()]) if len(rows) else torch.zeros(0, 1, 1).bool()
    pointing = {}
    for label, explainer in explainers.items():
        maps = explain(
            explainer,
            trained.subject,
            images,
            torch.full((len(rows),), shortcut.target),
            seed=seed,
            label=f"{label} for the patch",
            runtime=runtime,
            display=display,
        )
        pointing[label] = pointing_of(maps, masks, derive(seed, "shortcut", "maps"))
    return Finding(shortcut.name, shortcut.strength, effect, pointing)


def _rows_to_explain(shortcut: Shortcut, seed: int) -> Tensor:
    """Rows of test images that have the patch, sorted."""
    rows = torch.tensor(shortcut.present, dtype=torch.bool).nonzero()[:, 0]
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_EXPLAINED]
    return rows[drawn].sort().values


def _counts(change: Interval) -> bool:
    """Whether the patch adds enough to count, beyond chance."""
    return change.n >= FEWEST and change.low > 0 and change.mean >= LEAST_EFFECT


def _excluded(change: Interval) -> bool:
    """Whether it can be ruled out that the patch adds enough to count."""
    return change.n >= FEWEST and change.high < LEAST_EFFECT


def _twice(pair: Pair, what: str) -> str:
    return f"{_percent(pair.with_patch)} {what} (without it {_percent(pair.without)})"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
