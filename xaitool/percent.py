"""Shares of a whole, as people read them."""

from __future__ import annotations

import math

# Beyond as many decimals nothing is told apart that a count of images could tell.
_MOST_DECIMALS = 9


def percent(share: float, decimals: int = 1) -> str:
    """``96.6%``; ``–`` where there is none.

    All and none are said of all and none only: 99.998% is no 100%, and gets as many decimals as it takes.
    """
    if not math.isfinite(share):
        return "–"
    while 0 < share < 1 and decimals < _MOST_DECIMALS and f"{share:.{decimals}%}" in _ends(decimals):
        decimals += 1
    return f"{share:.{decimals}%}"


def _ends(decimals: int) -> tuple[str, str]:
    return f"{0:.{decimals}%}", f"{1:.{decimals}%}"
