"""What triage says in sentences: what chance would do, which are alike, and what its guess at labels is worth."""

from __future__ import annotations

import math

import pytest

from xaitool.judge.intervals import Interval
from xaitool.triage.label_noise import LEAST_PRECISION, Trial
from xaitool.triage.words import _against_chance


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ((0.2, 0.1, 0.3, 34), "more than chance would do (+20.0 points, 95% interval +10.0 to +30.0, 34 mistakes)"),
        ((-0.2, -0.3, -0.1, 34), "less than chance would do (−20.0 points, 95% interval −30.0 to −10.0, 34 mistakes)"),
        (
            (0.0, -0.01, 0.01, 900),
            "no more than chance would do (+0.0 points, 95% interval −1.0 to +1.0, 900 mistakes)",
        ),
        (
            (0.098, -0.059, 0.265, 34),
            "whether that is more than chance would do cannot be told from 34 mistakes (+9.8 points, 95% interval −5.9 "
            "to +26.5)",
        ),
        ((1.0, 1.0, 1.0, 1), "whether that is more than chance would do cannot be told from 1 mistake"),
        ((0.5, 0.3, 0.7, 29), "whether that is more than chance would do cannot be told from 29 mistakes"),
        (
            (-0.0001, -0.01, 0.01, 900),
            "no more than chance would do (+0.0 points, 95% interval −1.0 to +1.0, 900 mistakes)",
        ),
    ],
)
def test_more_than_chance_no_more_and_what_cannot_be_told_are_told_apart(
    lead: tuple[float, float, float, int], said: str
) -> None:
    assert _against_chance(Interval(*lead, 0.1)) == said


@pytest.mark.parametrize(
    ("precision", "convinces"), [(LEAST_PRECISION, True), (0.9, True), (0.18, False), (math.nan, False)]
)
def test_a_guess_that_is_wrong_more_often_than_right_does_not_convince(precision: float, convinces: bool) -> None:
    assert Trial(0.5, 0.01, precision).convinces is convinces
