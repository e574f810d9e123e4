"""What stands in the figures: titles, labels, numbers, marks."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from xaitool import figures
from xaitool.figures.explanations import normalised
from xaitool.figures.style import INK, VERMILION, fit, shorten, width_of

CLASSES = ["cat", "dog", "frog"]
IMAGES = np.random.default_rng(1).random((6, 32, 32, 3)).astype(np.float32)


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def shown(figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_random_samples_are_shown_in_order_with_their_classes():
    figure = figures.random_samples(IMAGES[:3], [2, 0, 1], CLASSES)
    assert texts(figure)[0] == "3 random training samples"
    assert texts(figure)[-3:] == ["frog", "cat", "dog"]
    assert np.array_equal(shown(figure), IMAGES[:3])


def test_more_samples_than_fit_are_cut_and_it_says_so():
    figure = figures.random_samples(np.zeros((70, 4, 4, 3)), [0] * 70, CLASSES)
    assert len(figure.axes) == 64
    assert "64 random training samples (of 70 given)" in texts(figure)


def test_samples_by_class_are_those_of_the_class():
    figure = figures.samples_by_class(IMAGES, [1, 0, 1, 0, 1, 1], CLASSES, per_class=2)
    assert np.array_equal(shown(figure), IMAGES[[1, 3, 0, 2]])
    assert {"cat", "dog", "frog", "no image", "Up to 2 samples of each class"} <= set(texts(figure))


def test_twenty_classes_at_most_and_it_says_so():
    names = [f"class {index}" for index in range(100)]
    figure = figures.samples_by_class(np.zeros((100, 4, 4, 3)), np.arange(100), names, per_class=1)
    assert len(figure.axes) == 20
    assert "1 sample of each class, for the first 20 of 100 classes" in texts(figure)


def test_channels_are_the_channels():
    image = IMAGES[0]
    figure = figures.channels(image, "a cat")
    whole, *parts = [array for array in shown(figure) if array.shape[:2] == (32, 32)]
    assert np.array_equal(whole, image)
    assert np.array_equal(np.stack(parts, axis=2), image)
    assert f"red: {image[..., 0].min():.2f} to {image[..., 0].max():.2f}, mean {image[..., 0].mean():.2f}" in texts(
        figure
    )


def test_the_chosen_learning_rate_is_marked():
    rates = np.geomspace(1e-3, 1, 7)
    figure = figures.lr_curve(rates, [3, 3, 2.5, 2, 1, 0.9, 5], chosen=0.1, note="Because.")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == "Peak learning rate: 0.1"
    assert {"chosen: 0.1", "Because."} <= set(texts(figure))
    curve, line, dot = axes.lines
    assert np.array_equal(curve.get_xdata(), rates)
    assert list(line.get_xdata()) == [0.1, 0.1]
    assert dot.get_xdata()[0] == 0.1


def test_a_failed_search_marks_nothing():
    figure = figures.lr_curve([0.1, 0.2, 0.3], [1.0, np.nan, np.inf], None, "No descent.")
    (axes,) = figure.axes
    assert len(axes.lines) == 1
    assert axes.get_title(loc="left") == "No learning rate was found"
    assert "No descent. The loss is not a finite number at 2 of 3 rates." in texts(figure)


def test_an_explosion_does_not_flatten_the_descent():
    figure = figures.lr_curve(np.geomspace(1e-3, 1, 5), [2.0, 1.8, 1.0, 1.2, 1e9], 0.01)
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0
    assert 2.0 < high < 4


def history(accuracies):
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy": 0.5,
            "test_loss": 2 / epoch,
            "test_accuracy": accuracy,
        }
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


def test_best_and_last_test_accuracy_are_marked():
    figure = figures.training_curves(history([0.5, 0.925, 0.75]))
    loss, accuracy = figure.axes
    assert loss.get_title(loc="left") == "Training loss: from 1 to 0.333"
    assert accuracy.get_title(loc="left") == "Test accuracy: from 50.0% to 75.0%"
    assert [list(line.get_ydata()) for line in accuracy.lines[:2]] == [[50, 50, 50], [50, 92.5, 75]]
    best, last = accuracy.lines[2:]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 92.5)
    assert (last.get_xdata()[0], last.get_ydata()[0]) == (3, 75)
    assert {"best test: 92.50% (epoch 2)", "last test: 75.00% (epoch 3)"} <= set(texts(figure))


def test_one_epoch_is_a_visible_point():
    figure = figures.training_curves(history([0.5]))
    assert all(line.get_marker() not in ("", "None") and line.get_markersize() > 3 for line in figure.axes[0].lines)
    assert "best and last test: 50.00% (epoch 1)" in texts(figure)


def test_without_test_data_there_is_no_test_curve():
    figure = figures.training_curves([entry | {"test_loss": None} for entry in history([None, None])])
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert "Test accuracy: not measured" in texts(figure)


def test_the_schedule_names_its_peak():
    (axes,) = figures.lr_schedule([0.01, 0.1, 0.001]).axes
    assert axes.get_title(loc="left") == "The learning rate peaks at 0.1, at step 2 of 3"
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]


def test_the_confusion_matrix_has_the_counts_in_its_cells():
    counts = np.array([[50, 7, 0], [3, 1234, 2], [0, 0, 0]])
    figure = figures.confusion_matrix(counts, CLASSES)
    axes = figure.axes[0]
    cells = {(text.get_position()): text.get_text() for text in axes.texts}
    assert cells[1, 0] == "7"  # x: predicted, y: true
    assert cells[0, 1] == "3"
    assert cells[1, 1] == "1,234"
    assert cells[2, 0] == "·"
    assert "1,284 of 1,296 images are classified correctly (99.1%)" in texts(figure)
    assert any("cat → dog (7), dog → cat (3), dog → frog (2)" in text for text in texts(figure))


def test_colours_of_the_confusion_matrix_are_row_percentages_with_a_scale_for_mistakes():
    figure = figures.confusion_matrix(np.array([[90, 10], [1, 49]]), ["a", "b"])
    right, wrong = figure.axes[0].images
    assert np.allclose(right.get_array().compressed(), [90, 98])
    assert np.allclose(wrong.get_array().compressed(), [10, 2])
    assert right.get_clim() == (0, 100)
    assert wrong.get_clim() == (0, 10)


def test_numbers_can_be_read_on_the_colour_of_their_cell():
    (axes, *_) = figures.confusion_matrix(np.array([[95, 5], [1, 99]]), ["a", "b"]).axes
    colours = {text.get_position(): text.get_color() for text in axes.texts}
    assert colours == {(0, 0): "white", (1, 1): "white", (1, 0): "white", (0, 1): INK}


def test_no_numbers_in_the_cells_of_a_hundred_classes():
    figure = figures.confusion_matrix(np.eye(100, dtype=int), [str(index) for index in range(100)])
    assert not figure.axes[0].texts
    assert "there is no mistake" in texts(figure)


def test_a_mistake_has_both_classes_and_the_confidence():
    figure = figures.mistakes(IMAGES[:1], [0], [1], [0.874], CLASSES)
    assert texts(figure)[-2:] == ["dog 87%", "true: cat"]
    assert figure.axes[0].images[0].get_interpolation() == "nearest"
    assert to_hex(figure.texts[-2].get_color()) == VERMILION
    assert "No mistakes" in texts(figures.mistakes(IMAGES[:0], [], [], [], CLASSES))


def test_explained_says_what_each_map_is_for():
    maps = {"predicted": IMAGES[..., 0], "true": IMAGES[..., 1], "least likely": np.zeros((6, 32, 32))}
    figure = figures.explained(IMAGES[:1], [0], [1], [0.87], CLASSES, {k: v[:1] for k, v in maps.items()}, "Grad-CAM")
    said = texts(figure)
    assert "Grad-CAM: the evidence in 1 image" in said
    assert {"true cat, predicted dog 87%", 'for "dog" (predicted)', 'for "cat" (true)', "for least likely"} <= set(said)
    assert said.count("empty map") == 1
    _scale, plain, predicted, true, empty = shown(figure)
    assert np.array_equal(plain, IMAGES[0])
    assert np.array_equal(predicted, figures.overlay(IMAGES[0], IMAGES[0, ..., 0]))
    assert np.array_equal(true, figures.overlay(IMAGES[0], IMAGES[0, ..., 1]))
    assert np.array_equal(empty, IMAGES[0])


def test_explained_images_stand_side_by_side():
    maps = {"predicted": IMAGES[..., 0], "true": IMAGES[..., 1]}
    figure = figures.explained(IMAGES, [0] * 6, [1] * 6, [0.5] * 6, CLASSES, maps, "Grad-CAM")
    assert len(figure.axes) == 1 + 6 * 3
    first, second, third = (figure.axes[1 + 3 * index].get_position() for index in range(3))
    assert first.y0 == second.y0 > third.y0
    assert first.x0 == third.x0 < second.x0


def test_overlay_of_no_evidence_is_the_image():
    for empty in (np.zeros((32, 32)), np.full((32, 32), 3.5), np.full((32, 32), -1.0), np.full((32, 32), np.nan)):
        assert np.array_equal(figures.overlay(IMAGES[0], empty), IMAGES[0])


def test_overlay_blends_the_top_colour_at_the_maximum_and_nothing_at_the_minimum():
    saliency = np.zeros((32, 32))
    saliency[3, 4], saliency[5, 6] = 20.0, 10.0
    out = figures.overlay(IMAGES[0], saliency, alpha=0.5)
    colours = matplotlib.colormaps["plasma"]
    assert np.allclose(out[3, 4], 0.5 * IMAGES[0, 3, 4] + 0.5 * np.array(colours(1.0)[:3]), atol=1e-6)
    assert np.allclose(out[5, 6], 0.75 * IMAGES[0, 5, 6] + 0.25 * np.array(colours(0.5)[:3]), atol=1e-6)
    elsewhere = saliency == 0
    assert np.array_equal(out[elsewhere], IMAGES[0][elsewhere])


def test_overlay_shape_range_and_inputs():
    saliency = np.random.default_rng(2).normal(size=(32, 32)) * 1e6
    out = figures.overlay(IMAGES[0], saliency, alpha=1.0)
    assert out.shape == (32, 32, 3)
    assert out.min() >= 0
    assert out.max() <= 1
    as_bytes = (IMAGES[0] * 255).astype(np.uint8)
    assert np.allclose(figures.overlay(as_bytes, saliency), figures.overlay(as_bytes / 255, saliency), atol=1e-6)
    with pytest.raises(ValueError, match=r"\(16, 16\)"):
        figures.overlay(IMAGES[0], np.zeros((16, 16)))


def test_normalised_uses_the_positive_part_only():
    assert np.allclose(normalised(np.array([[-5.0, 0, 1, 2]])), [[0, 0, 0.5, 1]])
    assert np.allclose(normalised(np.array([[2.0, 3, 4, np.inf]])), [[0.5, 0.75, 1, 0]])


def test_long_names_get_an_ellipsis():
    assert shorten("a short\nname") == "a short name"
    assert shorten("x" * 40, 10) == "x" * 9 + "…"
    assert fit("", 1, 9) == ""
    assert fit("cat", 1, 9, frame='for "{}"') == 'for "cat"'
    fitted = fit("w" * 40, 1.0, 9, frame="{} 87%")
    assert fitted.endswith("… 87%")
    assert width_of(fitted, 9) <= 1.0


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.random_samples(np.zeros((2, 3, 32, 32)), [0, 0], CLASSES), "N×H×W×3, not 2×3×32×32"),
        (lambda: figures.random_samples(IMAGES, [0], CLASSES), "labels: 1 given for 6 images"),
        (lambda: figures.mistakes(IMAGES, [0] * 6, [0] * 6, [0.5], CLASSES), "confidence: 1 given for 6 images"),
        (lambda: figures.lr_curve([0.1], [], None), "1 learning rates for 0 losses"),
        (lambda: figures.confusion_matrix(np.zeros((2, 3)), CLASSES), "3×3, not 2×3"),
    ],
)
def test_wrong_input_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
