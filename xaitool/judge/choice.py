"""What came of choosing a setting of an explainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from xaitool.judge.intervals import Interval


@dataclass(frozen=True)
class Choice:
    """The settings of an explainer that were tried, and which of them is used.

    metric: what they were scored by. scores: by setting, over the images on which all of them have one. used: the
    setting in use; automatic: whether it was chosen here; too_few: whether it was to be, and there were too few images.
    best: the setting of the best score, where one was chosen that comes later and is not clearly worse. better: another
    that is better beyond chance and by enough to mean anything, where the one in use was given; lead: by how much,
    image by image, the interval being as much wider as there are settings that could have come out best (Bonferroni).
    left_out: settings that could not be compared, as too many of their maps are constant.
    grid: height and width of the grid on which maps are computed with the setting in use, where the explainer tells.
    """

    metric: str
    scores: Mapping[str, Interval]
    used: str
    automatic: bool
    better: str | None = None
    lead: Interval | None = None
    too_few: bool = False
    best: str | None = None
    left_out: tuple[str, ...] = ()
    grid: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """The setting in use, and the grid, as far as it is known: ``layer4 (4x4)``."""
        return f"{self.used} ({self.grid[0]}x{self.grid[1]})" if self.grid else self.used

    def words(self) -> str | None:
        """What a reader should know of it, where there is anything."""
        used = self.place
        if self.automatic:
            of = f"{len(self.scores)} layers"
            if self.left_out:
                of += f" ({' and '.join(self.left_out)} apart, whose maps are constant too often)"
            if self.best:
                return f"looks at {used}, the last of {of} that no other is clearly more faithful than"
            return f"looks at {used}, the most faithful of {of}"
        if self.too_few:
            return f"looks at {used}, as it does by itself: too few images to choose a layer"
        if self.better and self.lead:
            return f"looks at {used}; {self.better} would be clearly more faithful ({self.lead})"
        return None

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {
            "metric": self.metric,
            "used": self.used,
            "automatic": self.automatic,
            "too_few": self.too_few,
            "better": self.better,
            "lead": self.lead.as_dict() if self.lead else None,
            "best": self.best,
            "left_out": list(self.left_out),
            "grid": list(self.grid) if self.grid else None,
            "scores": {name: each.as_dict() for name, each in self.scores.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back."""
        return cls(
            metric=record["metric"],
            scores={name: Interval.from_dict(each) for name, each in record["scores"].items()},
            used=record["used"],
            automatic=record["automatic"],
            better=record["better"],
            lead=Interval.from_dict(record["lead"]) if record["lead"] else None,
            too_few=record["too_few"],
            best=record["best"],
            left_out=tuple(record["left_out"]),
            grid=(record["grid"][0], record["grid"][1]) if record.get("grid") else None,
        )
