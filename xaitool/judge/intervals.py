"""Means with bootstrap intervals (Efron 1979), and shares with intervals by Wilson (1927)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

RESAMPLES = 2000
LEVEL = 0.95

# The normal distribution's quantile for a two-sided interval of 95%.
_Z95 = 1.959964
# Two-sided 5% and 80% power, as sample sizes are usually planned.
_Z = 1.96 + 0.84


@dataclass(frozen=True)
class Interval:
    """A mean over n images and its interval, as a rule of 95%; NaN where n is 0.

    spread: standard deviation of the n values; NaN where n is 1.
    """

    mean: float
    low: float
    high: float
    n: int
    spread: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` has it."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back; the spread is not written down."""
        mean, low, high = (math.nan if record[key] is None else record[key] for key in ("mean", "low", "high"))
        return cls(mean, low, high, record["n"], math.nan)

    def images_needed(self) -> int | None:
        """How many images it would take for a mean of this size to be told from zero; None where it is zero."""
        if not self.n or not self.mean or not math.isfinite(self.spread):
            return None
        return math.ceil((_Z * self.spread / self.mean) ** 2)


def interval(values: ArrayLike, seed: int, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of the finite values and its percentile bootstrap interval, images being what is resampled.

    Paired differences go in as the differences. The same values, in whatever order, and seed give the same interval.
    level: how often it holds the truth, 0..1.
    """
    import numpy as np  # here, so that what was measured is read back without it

    finite = np.asarray(values, np.float64)
    finite = np.sort(finite[np.isfinite(finite)])
    n = len(finite)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, math.nan)
    # How often each image is drawn is multinomial, which needs no n x resamples table of rows.
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    means = counts @ finite / n
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    spread = float(finite.std(ddof=1)) if n > 1 else math.nan
    return Interval(float(finite.mean()), float(low), float(high), n, spread)


def proportion(count: float, n: int) -> Interval:
    """The share of n images that something is true of, and its 95% interval by Wilson's score.

    It holds for few images too, and where it is true of all or of none: then a bootstrap would have no width at all.
    """
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, math.nan)
    share, z2 = count / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    spread = math.sqrt(share * (1 - share) * n / (n - 1)) if n > 1 else math.nan
    # At the ends rounding would leave a hair.
    low, high = (0.0 if share == 0 else centre - half), (1.0 if share == 1 else centre + half)
    return Interval(share, low, high, n, spread)
