"""The controls: maps that know nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from xaitool.judge import controls

IDS = [f"test/{number:03d}" for number in range(50)]


def numbered(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float32)[:, None, None].expand(count, 4, 4).clone()


@pytest.mark.parametrize("count", [2, 3, 50])
def test_dealt_maps_are_the_same_maps_and_nobodys_own(count: int) -> None:
    deals = [controls.dealt(numbered(count), IDS[:count], deal, seed=1)[:, 0, 0].long() for deal in range(5)]
    for deal in deals:
        assert sorted(deal.tolist()) == list(range(count))
        assert not (deal == torch.arange(count)).any()
    if count == 50:
        assert len({tuple(deal.tolist()) for deal in deals}) == 5


def test_who_gets_whose_map_follows_from_the_ids_and_not_from_their_order() -> None:
    maps, order = numbered(50), torch.randperm(50, generator=torch.Generator().manual_seed(0))
    straight = controls.dealt(maps, IDS, 0, seed=1)
    shuffled = controls.dealt(maps[order], [IDS[row] for row in order.tolist()], 0, seed=1)
    torch.testing.assert_close(shuffled, straight[order])
    again = controls.random_smooth([IDS[row] for row in order.tolist()], (4, 4), (8, 8), seed=1)
    torch.testing.assert_close(again, controls.random_smooth(IDS, (4, 4), (8, 8), seed=1)[order])


def test_random_maps_are_as_coarse_as_the_explainers() -> None:
    fine = controls.random_smooth(IDS, (32, 32), (32, 32), seed=0)
    coarse = controls.random_smooth(IDS, (4, 4), (32, 32), seed=0)
    assert fine.shape == coarse.shape == (50, 32, 32)

    def roughness(maps: torch.Tensor) -> float:
        return float(maps.diff(dim=2).abs().mean() / maps.std())

    assert roughness(fine) > 4 * roughness(coarse)
    assert abs(float(fine.mean()) - 0.5) < 0.01
    assert not torch.equal(coarse[0], coarse[1])


def test_the_gaussian_looks_at_the_middle() -> None:
    gaussian = controls.centred_gaussian(3, (9, 13))
    assert gaussian.shape == (3, 9, 13)
    assert divmod(int(gaussian[0].argmax()), 13) == (4, 6)
    torch.testing.assert_close(gaussian, gaussian.flip(1, 2))
    # A quarter of the image from the middle it has fallen to exp(-1/2).
    wide = controls.centred_gaussian(1, (401, 401))[0]
    assert float(wide[200, 300] / wide[200, 200]) == pytest.approx(0.607, abs=0.002)


def test_sobel_edges_are_where_the_brightness_changes() -> None:
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[..., 4:] = 0.5
    edges = controls.sobel_edges(pixels)
    assert edges.shape == (1, 8, 8)
    torch.testing.assert_close(edges[0, :, 3:5], torch.full((8, 2), 2.0))  # (1 + 2 + 1) x 0.5
    assert float(edges[0, :, [0, 1, 2, 5, 6, 7]].abs().sum()) == 0
    ramp = torch.linspace(0, 1, 8).expand(1, 3, 8, 8)
    expected = F.conv2d(ramp[:, :1], torch.tensor([[[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]])).abs()[:, 0]
    torch.testing.assert_close(controls.sobel_edges(ramp)[:, 1:-1, 1:-1], expected)


def test_the_mean_map_leaves_ones_own_out() -> None:
    maps = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    scaled = maps / maps.amax((1, 2), keepdim=True)
    torch.testing.assert_close(controls.mean_map(maps)[2], scaled[[0, 1, 3]].mean(0))
    assert controls.mean_map(torch.zeros(2, 3, 3)).isfinite().all()


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_one_map_that_is_not_finite_does_not_spoil_the_mean_of_all(odd: float) -> None:
    maps = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    spoilt = torch.cat([maps, torch.full((1, 3, 3), odd)])
    spoilt[4, 0, 0] = 1.0
    torch.testing.assert_close(controls.mean_map(spoilt)[:4], controls.mean_map(maps))
    scaled = maps / maps.amax((1, 2), keepdim=True)
    torch.testing.assert_close(controls.mean_map(spoilt)[4], scaled.mean(0))
