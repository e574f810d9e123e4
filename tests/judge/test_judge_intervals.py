"""Bootstrap intervals, against scipy's and against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from xaitool.judge.intervals import interval, proportion


def test_it_is_scipys_percentile_interval() -> None:
    values = np.random.default_rng(0).gamma(2, 1, 150)
    ours = interval(values, seed=1, resamples=20_000)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_it_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = sum(
        found.low <= 1 <= found.high
        for repetition in range(400)
        for found in [interval(generator.normal(1, 2, 60), seed=repetition, resamples=500)]
    )
    assert 0.91 <= held / 400 <= 0.98


def test_what_is_no_number_is_left_out() -> None:
    found = interval([1.0, math.nan, 3.0, math.inf], seed=0)
    assert (found.mean, found.n) == (2.0, 2)
    nothing = interval([math.nan], seed=0)
    assert nothing.n == 0
    assert math.isnan(nothing.mean)
    assert nothing.images_needed() is None


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert interval(values, 3) == interval(values, 3)
    assert interval(values, 3).low != interval(values, 4).low


def test_the_order_of_the_values_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=40)
    assert len({interval(generator.permutation(values), 1).low for _ in range(3)}) == 1


def test_a_higher_level_gives_a_wider_interval() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=100)
    usual, strict = interval(values, 1), interval(values, 1, 20_000, level=0.99)
    assert (strict.high - strict.low) / (usual.high - usual.low) == pytest.approx(2.576 / 1.96, rel=0.07)


def test_as_many_images_as_are_needed_tell_the_difference_as_often_as_planned() -> None:
    generator = np.random.default_rng(0)
    needed = interval(generator.normal(0.5, 2, 5000), 0).images_needed()
    assert needed == pytest.approx((2.8 * 2 / 0.5) ** 2, rel=0.1)
    told = sum(interval(generator.normal(0.5, 2, needed), seed, 400).low > 0 for seed in range(300))
    assert 0.74 <= told / 300 <= 0.88  # 80% power


def test_a_proportion_has_wilsons_interval() -> None:
    """Figures as R's ``prop.test(..., correct = FALSE)`` and Wilson's formula have them."""
    found = proportion(76, 500)
    assert (found.mean, found.n) == (0.152, 500)
    assert (found.low, found.high) == pytest.approx((0.1232, 0.1861), abs=1e-4)
    assert proportion(10, 10).high == 1 > proportion(10, 10).low == pytest.approx(0.7225, abs=1e-4)
    assert proportion(0, 10).low == 0 < proportion(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert math.isnan(proportion(0, 0).mean)


def test_a_proportions_interval_holds_the_truth_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0).binomial(40, 0.9, size=2000)
    held = [proportion(int(count), 40).low <= 0.9 <= proportion(int(count), 40).high for count in drawn]
    assert 0.93 <= np.mean(held) <= 0.98
