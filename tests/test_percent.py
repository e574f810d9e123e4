"""Shares and counts as people read them."""

from __future__ import annotations

import pytest

from xaitool.accuracy import with_bounds
from xaitool.counting import counted
from xaitool.judge.intervals import proportion
from xaitool.percent import percent


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0.9656, 1, "96.6%"),
        (0.9656, 2, "96.56%"),
        (0.5, 0, "50%"),
        (1, 2, "100.00%"),
        (0, 1, "0.0%"),
        (99_999 / 100_000, 2, "99.999%"),
        (0.9999, 1, "99.99%"),
        (0.0004, 1, "0.04%"),
        (1 - 1e-15, 1, "100.000000000%"),
        (float("nan"), 1, "–"),
    ],
)
def test_all_and_none_are_said_of_all_and_none_only(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text


@pytest.mark.parametrize(
    ("count", "images", "text"),
    [
        (118, 125, "94.4% (88.9–97.3)"),
        (125, 125, "100.0% (97.0–100.0)"),
        (0, 125, "0.0% (0.0–3.0)"),
        (1, 1, "100.0% (20.7–100.0)"),
        (0, 0, "–"),
    ],
)
def test_a_share_stands_with_its_interval(count: int, images: int, text: str) -> None:
    assert with_bounds(proportion(count, images)) == text


def test_one_is_not_several() -> None:
    assert [counted(number, "thread") for number in (0, 1, 2, 1000)] == [
        "0 threads",
        "1 thread",
        "2 threads",
        "1,000 threads",
    ]
