"""How long something took, in words."""

from __future__ import annotations

import pytest

from xaitool.durations import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (124, "2 min 4 s"), (11_225, "3 h 7 min")],
)
def test_it_is_told_in_the_units_that_fit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
