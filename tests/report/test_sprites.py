"""Pictures and maps on sheets: what comes back, and what fits."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from xaitool.report.sprites import MapSheets, Sheets, fit, pack_maps, pack_pictures


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def smooth(count: int, side: int) -> np.ndarray:
    """Pictures that are not noise: each a ramp of its own colour."""
    ramp = np.linspace(0, 1, side)
    brightness = 255 * ramp[None, :, None, None] * np.ones((count, 1, side, 1))
    return (brightness * np.linspace(0.2, 1, count * 3).reshape(count, 1, 1, 3)).astype(np.uint8)


def tiles(sheets: Sheets, count: int) -> np.ndarray:
    """What a page sees of the first `count` tiles."""
    pages = []
    for uri in sheets.uris:
        head, _, content = uri.partition(",")
        assert head in ("data:image/png;base64", "data:image/jpeg;base64")
        pages.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))))
    found = []
    for index in range(count):
        page, place = divmod(index, sheets.columns * sheets.rows)
        row, column = divmod(place, sheets.columns)
        left, top = column * sheets.step[0], row * sheets.step[1]
        found.append(pages[page][top : top + sheets.height, left : left + sheets.width])
    return np.stack(found)


def values(packed: MapSheets, count: int) -> np.ndarray:
    low, high = (np.asarray(each)[:, None, None] for each in (packed.low, packed.high))
    return low + (high - low) * tiles(packed.sheets, count) / 255


@pytest.mark.parametrize("shape", [(32, 32), (28, 20), (64, 64), (1, 5)])
@pytest.mark.parametrize("count", [1, 7, 64, 130])
def test_small_pictures_come_back_bit_for_bit(count, shape):
    pictures = noise(count, *shape)
    sheets = pack_pictures(pictures)
    assert (sheets.height, sheets.width) == shape
    np.testing.assert_array_equal(tiles(sheets, count), pictures)


def test_a_sheet_has_eight_by_eight_small_tiles():
    assert len(pack_pictures(noise(64, 32, 32)).uris) == 1
    assert len(pack_pictures(noise(65, 32, 32)).uris) == 2


def test_large_pictures_are_jpeg_and_nearly_the_same_and_do_not_leak_into_each_other():
    pictures = np.zeros((20, 100, 75, 3), np.uint8)
    pictures[1::2] = 255  # black and white in turn: any leak would be seen
    sheets = pack_pictures(pictures)
    assert sheets.uris[0].startswith("data:image/jpeg")
    assert (sheets.height, sheets.width) == (100, 75)
    assert np.abs(tiles(sheets, 20).astype(int) - pictures).max() <= 2


def test_a_large_picture_is_reduced_to_256_pixels_on_its_longer_side_in_proportion():
    sheets = pack_pictures(smooth(1, 600)[:, :300])
    assert (sheets.height, sheets.width) == (128, 256)


def test_large_sheets_stay_small_enough_to_decode():
    sheets = pack_pictures(smooth(17, 256))
    assert len(sheets.uris) == 2
    assert sheets.columns * sheets.step[0] <= 1024


def test_maps_come_back_within_half_a_level_of_their_own_range():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(70, 32, 32)) * 10.0 ** rng.integers(-6, 6, (70, 1, 1))
    packed = pack_maps(maps)
    extent = np.ptp(maps, axis=(1, 2))
    error = np.abs(values(packed, 70) - maps).max((1, 2))
    assert (error <= 0.501 * extent / 255).all()
    assert packed.low == pytest.approx(maps.min((1, 2)), rel=1e-6)
    assert packed.high == pytest.approx(maps.max((1, 2)), rel=1e-6)


def test_constant_maps_keep_their_value():
    maps = np.array([0.0, -2.5, 1e-8])[:, None, None] * np.ones((1, 4, 4))
    packed = pack_maps(maps)
    assert packed.low == packed.high
    np.testing.assert_allclose(values(packed, 3), maps, rtol=1e-6)


def test_what_is_not_finite_counts_as_no_evidence():
    maps = np.ones((1, 4, 4), np.float32)
    maps[0, 0] = [np.nan, np.inf, -np.inf, 0.5]
    packed = pack_maps(maps)
    assert (packed.low, packed.high) == ((0.0,), (1.0,))
    np.testing.assert_allclose(values(packed, 1)[0, 0], [0, 0, 0, 0.5], atol=0.003)


def test_a_large_map_is_reduced_to_its_means_and_a_small_one_is_left_alone():
    maps = np.kron(np.arange(16.0).reshape(1, 4, 4), np.ones((32, 32)))
    packed = pack_maps(maps, 4)
    np.testing.assert_allclose(values(packed, 1)[0], np.arange(16).reshape(4, 4), atol=0.03)
    assert pack_maps(maps[:, ::32, ::32], 64).sheets.width == 4


def test_what_fits_is_not_reduced():
    pictures, maps = noise(10, 96, 96), np.zeros((10, 96, 96))
    packed = fit(pictures, [maps])
    assert (packed.count, packed.pictures.width, packed.maps[0].sheets.width) == (10, 96, 64)


@pytest.mark.parametrize("budget", [1_500_000, 700_000, 400_000, 250_000])
def test_a_smaller_budget_makes_smaller_pictures_and_is_kept(budget):
    pictures, maps = noise(40, 256, 256), np.zeros((40, 256, 256))
    packed = fit(pictures, [maps, maps], budget)
    assert packed.count == 40
    assert packed.size <= budget
    assert 64 <= packed.pictures.width < 256
    assert packed.size > 0.4 * budget, "far smaller than need be"


def test_where_the_smallest_pictures_do_not_fit_the_first_images_are_kept():
    pictures, maps = noise(200, 128, 128), np.zeros((200, 128, 128))
    packed = fit(pictures, [maps], 300_000, besides=500)
    assert 1 < packed.count < 200
    assert packed.size + 500 * packed.count <= 300_000
    assert (packed.pictures.width, packed.maps[0].sheets.width) == (64, 24)
    assert len(packed.maps[0].low) == packed.count
    colour = tiles(packed.pictures, packed.count).mean((1, 2))
    np.testing.assert_allclose(colour, pictures[: packed.count].mean((1, 2)), atol=6)


def test_what_the_page_needs_besides_is_counted():
    pictures = noise(300, 8, 8)
    assert fit(pictures, [], 200_000).count == 300
    assert fit(pictures, [], 200_000, besides=1000).count < 200


def test_one_image_is_shown_whatever_the_budget():
    assert fit(noise(5, 32, 32), [np.zeros((5, 32, 32))], 10).count == 1


def test_small_pictures_are_never_reduced_only_their_number_is():
    packed = fit(noise(300, 32, 32), [], 500_000)
    assert packed.pictures.width == 32
    assert 100 < packed.count < 150
    np.testing.assert_array_equal(tiles(packed.pictures, packed.count), noise(300, 32, 32)[: packed.count])
