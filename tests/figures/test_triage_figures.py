"""Mistakes with the maps of both classes: what is drawn is their difference, and each side is called by its class."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from xaitool import figures
from xaitool.figures.style import BLUE, VERMILION
from xaitool.figures.triage import contrast

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(0)
CLASSES = ["cat", "dog", "frog"]
LONG = [f"${letter}^ \\frac$ class name of forty characters {letter}" for letter in "ABC"]


def drawn(count: int = 2, one=None, other=None, classes=CLASSES, side: int = 32):
    pictures = RNG.random((count, side, side, 3))
    one = RNG.random((count, side, side)) if one is None else one
    other = RNG.random((count, side, side)) if other is None else other
    true = np.arange(count) % 3
    return figures.differences(pictures, one, other, true, (true + 1) % 3, np.full(count, 0.87), classes)


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def shown(figure) -> list[np.ndarray]:
    """All pictures but the colour scales."""
    found = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    return [each for each in found if each.shape[0] > 1]


def halves(left: float, right: float) -> np.ndarray:
    return np.repeat([[left, right]], 8, axis=0).repeat(4, axis=1)[None]


def test_the_difference_is_of_the_maps_as_they_are_where_they_reach_from_0_to_1():
    one, other = np.array([[0.0, 1.0], [0.5, 0.2]]), np.array([[1.0, 0.25], [0.5, 0.0]])
    assert contrast(one, other) == pytest.approx(np.array([[-1.0, 0.75], [0.0, 0.2]]))


@pytest.mark.parametrize("scale", [1e-3, 1, 500])
def test_the_unit_of_the_maps_does_not_matter_but_a_small_difference_stays_small(scale):
    one, other = scale * np.array([[1.0, 0.5]]), scale * np.array([[0.98, 0.5]])
    assert contrast(one, other) == pytest.approx(np.array([[0.02, 0.0]]))


def test_signed_maps_cannot_differ_by_more_than_all_there_is():
    assert contrast(np.array([[3.0, -3.0, 0.0]]), np.array([[-3.0, 3.0, 3.0]])).tolist() == [[1.0, -1.0, -0.5]]


def test_what_is_not_finite_and_what_is_empty_are_no_evidence():
    broken = np.array([[np.nan, np.inf, -np.inf, 2.0]])
    assert contrast(broken, np.zeros((1, 4))).tolist() == [[0, 0, 0, 1]]
    assert not contrast(np.zeros((2, 2)), np.zeros((2, 2))).any()


def test_the_predicted_class_is_vermilion_and_the_true_one_blue_in_the_picture_and_in_its_scale():
    one, other = halves(0.0, 1.0), halves(1.0, 0.0)
    pictures = np.zeros((1, 8, 8, 3))
    figure = figures.differences(pictures, one, other, [0], [1], [0.9], CLASSES)
    picture = shown(figure)[3]
    assert picture[0, 0] == pytest.approx(matplotlib.colors.to_rgb(BLUE), abs=0.01)
    assert picture[0, 7] == pytest.approx(matplotlib.colors.to_rgb(VERMILION), abs=0.01)
    sides = [
        (each.get_text(), each.get_color(), each.get_position()[0])
        for each in figure.texts
        if each.get_text() in CLASSES
    ]
    (true, its_colour, left), (predicted, other_colour, right) = sides
    assert (true, its_colour, predicted, other_colour) == ("cat", BLUE, "dog", VERMILION)
    assert left < right
    scale = figure.axes[-2].images[0]
    assert scale.cmap(scale.norm(scale.get_array()))[0, 0, :3] == pytest.approx(matplotlib.colors.to_rgb(BLUE))
    assert scale.norm(0.0) == 0.5


def test_no_difference_leaves_the_image_in_light_grey():
    same = np.full((1, 8, 8), 0.7)
    pictures = np.zeros((1, 8, 8, 3))
    pictures[:, :4] = 1
    figure = figures.differences(pictures, same, same, [0], [1], [0.9], CLASSES)
    picture = shown(figure)[3]
    assert picture[:4] == pytest.approx(1, abs=0.01)
    assert picture[4:] == pytest.approx(0.75, abs=0.01)
    assert "no difference" in texts(figure)


def test_each_row_has_the_image_both_overlays_and_the_difference():
    pictures = RNG.random((2, 16, 16, 3)).astype(np.float32)
    one, other = RNG.random((2, 2, 16, 16))
    found = shown(figures.differences(pictures, one, other, [0, 1], [2, 0], [0.5, 0.6], CLASSES))
    assert len(found) == 8
    for row in range(2):
        image, for_predicted, for_true, _ = found[4 * row : 4 * row + 4]
        assert np.array_equal(image, pictures[row])
        assert np.array_equal(for_predicted, figures.overlay(pictures[row], one[row]))
        assert np.array_equal(for_true, figures.overlay(pictures[row], other[row]))


def test_titles_say_in_words_what_is_seen():
    said = texts(drawn(2))
    assert "Evidence for the wrong class and for the right one, in 2 mistakes" in said
    assert {
        "cat taken for dog, 87% sure",
        "dog taken for frog, 87% sure",
        'for "dog" (predicted)',
        'for "cat" (true)',
        "more evidence for",
    } <= set(said)
    assert "Evidence for the wrong class and for the right one, in 1 mistake" in texts(drawn(1))
    assert not [text for text in said if text.endswith("…")]


def test_an_empty_map_is_said_to_be_empty():
    assert texts(drawn(1, one=np.zeros((1, 32, 32)))).count("empty map") == 1
    assert "no difference" not in texts(drawn(1))


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="for_true: 1 given for 2 images"):
        drawn(2, other=np.zeros((1, 32, 32)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: drawn(0),
        lambda: drawn(1, classes=LONG),
        lambda: drawn(12),
        lambda: drawn(2, side=224),
        lambda: drawn(2, one=np.full((2, 32, 32), np.nan)),
        lambda: drawn(2, one=-RNG.random((2, 32, 32)), other=np.zeros((2, 32, 32))),
    ],
    ids=["none", "one, long names", "twelve", "224×224", "nan", "negative"],
)
def test_it_draws_without_a_warning_and_no_text_leaves_the_picture_or_lies_on_another(make, tmp_path):
    figure = make()
    path = tmp_path / "figure.png"
    figures.save(figure, path)
    assert np.asarray(Image.open(path).convert("L")).std() > 1
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    overlapping = [1 for place, one in enumerate(boxes) for other in boxes[:place] if one.overlaps(other)]
    assert not overlapping
