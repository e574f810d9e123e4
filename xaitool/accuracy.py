"""How good a model is, and whether that is any better than guessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xaitool.judge.intervals import Interval, proportion
from xaitool.percent import percent


@dataclass(frozen=True)
class Accuracy:
    """The accuracy on the test images with its 95% interval, and what it is to be compared with.

    chance: what always naming the same class would reach, 0..1: the largest class's share of the test images.
    commonest: that class; None where several are as large.
    """

    share: Interval
    chance: float
    commonest: str | None

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Accuracy:
        """From ``metrics.json``."""
        images = metrics["images"]
        sizes = {name: each["images"] for name, each in metrics["per_class"].items()}
        largest = max(sizes.values(), default=0)
        commonest = [name for name, size in sizes.items() if size == largest]
        return cls(
            share=proportion(images - metrics["misclassified"], images),
            chance=largest / images,
            commonest=commonest[0] if len(commonest) == 1 else None,
        )

    @property
    def beats_chance(self) -> bool:
        """Whether the whole interval is above chance."""
        return self.share.low > self.chance

    def guess(self) -> str:
        """``always naming “cat”``: what chance stands for."""
        return f"always naming {f'“{self.commonest}”' if self.commonest else 'one and the same class'}"


def with_bounds(share: Interval, decimals: int = 1) -> str:
    """A share of images with its 95% interval: ``94.4% (88.9–97.3)``; ``–`` where there are no images."""
    if not share.n:
        return "–"
    low, high = (percent(each).removesuffix("%") for each in (share.low, share.high))
    return f"{percent(share.mean, decimals)} ({low}–{high})"
