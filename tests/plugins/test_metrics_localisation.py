"""Localisation and complexity: maps and masks whose scores can be told by hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xaitool.contracts import Given, Scores, Subject
from xaitool.errors import MetricError
from xaitool_metrics.complexity import Entropy, Gini, scaled_down
from xaitool_metrics.config import NoOptions
from xaitool_metrics.localisation import MassInMask, PointingGame, TopKOverlap

ALL = (MassInMask, TopKOverlap, PointingGame)


def score(kind: Any, maps: Tensor, mask: Tensor | None = None, **more: Any) -> Scores:
    number, height, width = maps.shape
    images, targets = torch.zeros(number, 3, height, width), torch.zeros(number, dtype=torch.int64)
    given = Given([f"image {i}" for i in range(number)], mask=mask, **more)
    result: Scores = kind(NoOptions()).score(Subject(nn.Flatten()), images, targets, maps, given)
    return result


def square(number: int = 1) -> Tensor:
    """4 of 36 pixels."""
    mask = torch.zeros(number, 6, 6, dtype=torch.bool)
    mask[:, 2:4, 2:4] = True
    return mask


@pytest.mark.parametrize("kind", ALL)
def test_a_map_that_is_the_mask_scores_1_and_its_opposite_0(kind: Any) -> None:
    mask = square(2)
    maps = torch.stack([mask[0].float(), 1 - mask[1].float()])
    found = score(kind, maps, mask)
    assert found.values == [1, 0]
    assert found.chance == [4 / 36] * 2
    assert list(found.status) == ["ok", "ok"]


def test_the_mass_of_a_planted_map_is_its_positive_part_inside() -> None:
    maps = torch.zeros(1, 6, 6)
    maps[0, 2, 2], maps[0, 3, 3], maps[0, 0, 0], maps[0, 5, 5], maps[0, 2, 3] = 3, 2, 5, -100, -7
    assert score(MassInMask, maps, square()).values == pytest.approx([5 / 10], abs=1e-6)
    assert score(MassInMask, maps * 1e36, square()).values == pytest.approx([5 / 10], abs=1e-6)


def test_a_map_without_positive_mass_has_a_status_where_mass_is_measured() -> None:
    maps = -torch.rand(1, 6, 6) - 0.1
    assert score(MassInMask, maps, square()).status == ["no positive mass"]
    assert np.isnan(score(MassInMask, maps, square()).values).all()
    assert score(PointingGame, maps, square()).status == ["ok"]


def test_top_k_counts_the_four_most_relevant_pixels() -> None:
    maps = torch.arange(36.0).view(1, 6, 6)
    maps[0, 2, 2], maps[0, 3, 3], maps[0, 3, 2] = 50, 60, 70
    assert score(TopKOverlap, maps, square()).values == [0.75]


def test_top_k_breaks_ties_evenly() -> None:
    """One hot pixel inside; the other three places go to 3 of 35 tied pixels, of which 3 lie inside."""
    maps = torch.zeros(3000, 6, 6)
    maps[:, 2, 2] = 1
    found = score(TopKOverlap, maps, square(3000))
    assert np.mean(found.values) == pytest.approx((1 + 3 * 3 / 35) / 4, abs=0.01)
    assert set(found.values) <= {0.25, 0.5, 0.75, 1.0}


def test_the_pointing_game_shares_out_tied_maxima() -> None:
    maps = torch.zeros(1, 6, 6)
    maps[0, 2, 2] = maps[0, 0, 0] = maps[0, 1, 1] = maps[0, 3, 3] = maps[0, 5, 0] = 2
    assert score(PointingGame, maps, square()).values == pytest.approx([2 / 5])


@pytest.mark.parametrize("kind", ALL)
def test_random_maps_score_what_chance_says(kind: Any) -> None:
    maps = torch.rand(4000, 6, 6, generator=torch.Generator().manual_seed(0))
    found = score(kind, maps, square(4000))
    assert np.mean(found.values) == pytest.approx(np.mean(found.chance), abs=0.015)


@pytest.mark.parametrize("kind", ALL)
def test_empty_and_full_masks_and_constant_and_broken_maps_have_a_status(kind: Any) -> None:
    mask, maps = square(5), torch.rand(5, 6, 6)
    mask[0], mask[1] = False, True
    maps[2], maps[3, 0, 0] = 0.5, float("nan")
    found = score(kind, maps, mask)
    assert list(found.status) == ["empty mask", "full mask", "constant map", "non-finite map", "ok"]
    assert np.isnan(found.values).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("mask", [None, torch.ones(1, 5, 6, dtype=torch.bool), torch.ones(1, 6, 6)])
def test_a_mask_that_is_missing_or_no_mask_is_an_error(kind: Any, mask: Tensor | None) -> None:
    with pytest.raises(MetricError, match="mask"):
        score(kind, torch.rand(1, 6, 6), mask)


# Complexity


def gini_from_pairs(values: Any) -> float:
    """Half the mean absolute difference over the mean: the definition, not the formula."""
    values = np.abs(np.asarray(values, float)).ravel()
    return float(np.abs(values[:, None] - values).mean() / (2 * values.mean()))


def test_gini_is_that_of_known_vectors() -> None:
    one_pixel = torch.zeros(1, 4, 5)
    one_pixel[0, 1, 1] = -3
    assert score(Gini, one_pixel).values == pytest.approx([1 - 1 / 20], abs=1e-6)
    assert score(Gini, torch.tensor([[[1.0, 2], [3, 4]]])).values == pytest.approx([0.25], abs=1e-6)
    maps = torch.randn(6, 7, 9)
    assert score(Gini, maps).values == pytest.approx([gini_from_pairs(each) for each in maps], abs=1e-6)
    assert score(Gini, maps * 1e37).values == pytest.approx([gini_from_pairs(each) for each in maps], abs=1e-6)


def test_entropy_is_that_of_known_vectors() -> None:
    signs = torch.ones(1, 4, 4)
    signs[0, ::2] = -1
    assert score(Entropy, signs).values == pytest.approx([1], abs=1e-6)
    assert score(Gini, signs).values == pytest.approx([0], abs=1e-6)
    one_pixel, half = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    one_pixel[0, 2, 1] = 5
    half[0, :2] = 3
    assert score(Entropy, one_pixel).values == [0]
    assert score(Entropy, half).values == pytest.approx([np.log(8) / np.log(16)], abs=1e-6)


def test_both_look_at_the_grid_on_which_the_map_was_computed() -> None:
    native = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0))
    scaled = native.repeat_interleave(6, 1).repeat_interleave(3, 2)
    for kind in (Gini, Entropy):
        assert score(kind, scaled, native_size=(2, 4)).values == pytest.approx(score(kind, native).values, abs=1e-6)
    assert score(Entropy, scaled).values != pytest.approx(score(Entropy, native).values, abs=1e-2)


def enlarged(native: Tensor, side: int) -> Tensor:
    return F.interpolate(native[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]


def test_a_bilinear_enlargement_is_undone_exactly() -> None:
    hot = torch.zeros(1, 4, 4)
    hot[0, 1, 1] = 3
    assert score(Gini, enlarged(hot, 32), native_size=(4, 4)).values == pytest.approx([1 - 1 / 16], abs=1e-6)
    assert score(Entropy, enlarged(hot, 32), native_size=(4, 4)).values == pytest.approx([0], abs=1e-5)
    maps = torch.randn(8, 7, 5, generator=torch.Generator().manual_seed(0))
    for kind in (Gini, Entropy):
        theirs = score(kind, enlarged(maps, 32), native_size=(7, 5)).values
        assert theirs == pytest.approx(score(kind, maps).values, abs=1e-5)
        huge = score(kind, enlarged(maps, 32) * 1e37, native_size=(7, 5)).values
        assert huge == pytest.approx(theirs, abs=1e-5)


def test_an_enlargement_by_opencv_is_undone_as_well() -> None:
    maps = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = torch.stack([torch.from_numpy(cv2.resize(each.numpy(), (32, 32))) for each in maps])
    assert scaled_down(theirs, (4, 4)).allclose(maps, atol=1e-5)


def test_a_map_on_the_images_own_grid_stays_as_it_is() -> None:
    maps = torch.rand(2, 6, 6)
    assert scaled_down(maps, (6, 6)) is maps
    constant = torch.full((1, 8, 8), 0.3)
    assert score(Gini, constant, native_size=(3, 4)).status == ["constant map"]


@pytest.mark.parametrize("kind", [Gini, Entropy])
def test_constant_and_broken_maps_have_no_complexity(kind: Any) -> None:
    maps = torch.rand(4, 4, 4)
    maps[0], maps[1], maps[2, 0, 0] = 0, 0.3, float("inf")
    found = score(kind, maps)
    assert list(found.status) == ["constant map", "constant map", "non-finite map", "ok"]
    assert np.isnan(found.values).tolist() == [True, True, True, False]
    assert score(kind, torch.rand(2, 4, 4), native_size=(1, 1)).status == ["constant map"] * 2
