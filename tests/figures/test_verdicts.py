"""The pictures of verdicts: what is drawn, what is written beside it, and that nothing odd stops them."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from xaitool import figures
from xaitool.figures import Dot, Dots
from xaitool.figures.style import BLUE, VERMILION

pytestmark = pytest.mark.filterwarnings("error")

FRACTION = np.linspace(0, 1, 5)
OWN = {"fraction": FRACTION, "deletion": np.array([0.9, 0.3, 0.2, 0.1, 0.1]), "insertion": FRACTION**0.5}
CONTROL = {"fraction": FRACTION, "deletion": 0.9 - 0.8 * FRACTION, "insertion": 0.1 + 0.8 * FRACTION}
ABPC = Dots(
    "abpc (higher is better)",
    [
        Dot("its own maps", 0.3, 0.2, 0.4, "own"),
        Dot("noise", 0.1, 0.0, 0.2, "beaten"),
        Dot("a blob", 0.5, 0.4, 0.6, "not beaten"),
    ],
)
MASS = Dots("mass_in_mask (higher is better)", ABPC.rows, chance=0.17)
ODD = ["$x_1$ \\frac{a}", "", "two\nlines", "n" * 300, "<b>&amp;</b>"]


def texts(figure) -> list[str]:
    figure.draw_without_rendering()
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text() and artist.get_visible()]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_explainers_curves_are_strong_and_the_controls_thin():
    figure = figures.perturbation_curves({"gradcam": {"own": OWN, "a blob": CONTROL}})
    (axes,) = figure.axes
    widths = {line.get_color(): line.get_linewidth() for line in axes.lines}
    assert len(axes.lines) == 4
    assert widths.pop(BLUE) >= 2 * max(widths.values())


def test_insertion_is_drawn_as_deletion_with_the_least_relevant_pixels_first():
    (axes,) = figures.perturbation_curves({"gradcam": {"own": OWN}}).axes
    most, least = axes.lines
    assert np.allclose(most.get_ydata(), OWN["deletion"])
    assert most.get_linestyle() == "-"
    assert np.allclose(least.get_xdata(), FRACTION)
    assert np.allclose(least.get_ydata(), OWN["insertion"][::-1])
    assert least.get_linestyle() == "--"


def test_curves_named_morf_and_lerf_are_drawn_as_they_are():
    road = {"fraction": FRACTION, "morf": 1 - FRACTION, "lerf": 1 - FRACTION**2}
    (axes,) = figures.perturbation_curves({"gradcam": {"own": road}}).axes
    most, least = axes.lines
    assert np.allclose(most.get_ydata(), road["morf"])
    assert np.allclose(least.get_ydata(), road["lerf"])


def test_axes_and_legend_of_the_curves_speak_plainly():
    figure = figures.perturbation_curves({"gradcam": {"own": OWN, "a blob": CONTROL}})
    assert {"part of the image that is replaced", "probability of the predicted class", "gradcam"} <= set(texts(figure))
    assert legend(figure) == [
        "most relevant pixels first",
        "least relevant pixels first",
        "the explainer's maps",
        "a blob",
    ]


def test_a_control_has_the_same_colour_in_every_panel_and_is_named_once():
    noise = {"fraction": FRACTION, "deletion": 1 - FRACTION}
    figure = figures.perturbation_curves(
        {"a": {"own": OWN, "blob": CONTROL}, "b": {"own": OWN, "noise": noise, "blob": CONTROL}}
    )
    first, second = figure.axes
    blob = {to_hex(line.get_color()) for line in first.lines} - {BLUE}
    assert len(blob) == 1
    assert blob < {to_hex(line.get_color()) for line in second.lines} - {BLUE}
    assert sorted(legend(figure)[3:]) == ["blob", "noise"]


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"fraction": FRACTION},
        {"fraction": FRACTION, "correlation": FRACTION},
        {"fraction": FRACTION, "deletion": np.full(5, np.nan)},
        {"fraction": FRACTION, "deletion": np.ones((3, 5))},
        {"fraction": FRACTION, "deletion": np.ones(4)},
    ],
    ids=["none", "no values", "another curve", "all NaN", "not averaged", "another length"],
)
def test_what_is_no_perturbation_curve_is_not_drawn(curves):
    assert not figures.has_curves({"gradcam": {"own": curves}})
    assert "There are no curves to show" in texts(figures.perturbation_curves({"gradcam": {"own": curves}}))
    (axes,) = figures.perturbation_curves({"gradcam": {"own": OWN, "a blob": curves}}).axes
    assert len(axes.lines) == 2


def test_a_score_stands_where_it_is_with_its_interval_and_name():
    (axes,) = figures.scores_against_controls({"gradcam": [ABPC]}).axes
    drawn = [tuple(line.get_xdata()) for line in axes.lines]
    assert drawn == [(0.2, 0.4), (0.3,), (0.0, 0.2), (0.1,), (0.4, 0.6), (0.5,)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["its own maps", "noise", "a blob"]
    assert axes.get_xlabel() == "abpc (higher is better)"
    low, high = sorted(axes.get_ylim())
    assert axes.get_ylim() == (high, low), "the first row belongs on top"


def test_a_control_that_is_not_beaten_looks_different_and_the_legend_says_so():
    figure = figures.scores_against_controls({"gradcam": [ABPC]})
    _, own, _, beaten, _, rival = figure.axes[0].lines
    assert [own.get_color(), rival.get_color()] == [BLUE, VERMILION]
    assert beaten.get_marker() != rival.get_marker()
    assert legend(figure) == ["the explainer's maps", "control, beaten", "control, not beaten"]


def test_chance_is_marked_where_it_is_known():
    figure = figures.scores_against_controls({"gradcam": [ABPC, MASS]})
    left, right = figure.axes
    assert len(left.lines) == 6
    assert list(right.lines[-1].get_xdata()) == [0.17, 0.17]
    assert legend(figure)[-1] == "chance"


def test_names_are_written_once_where_both_columns_have_the_same():
    assert texts(figures.scores_against_controls({"gradcam": [ABPC, MASS]})).count("a blob") == 1


def test_the_layer_in_use_and_a_better_one_are_marked():
    layers = [
        Dot("layer1", 0.1, 0, 0.2),
        Dot("layer2", 0.5, 0.4, 0.6, "not beaten"),
        Dot("layer3", 0.3, 0.2, 0.4, "own"),
    ]
    figure = figures.scores_of_layers({"gradcam": Dots("abpc", layers)})
    assert legend(figure) == ["the layer in use", "would be clearly better", "other layers"]
    weights = {label.get_text(): label.get_fontweight() for label in figure.axes[0].get_yticklabels()}
    assert weights == {"layer1": "normal", "layer2": "normal", "layer3": "bold"}


def nan(dot: Dot) -> Dot:
    return dot._replace(mean=np.nan, low=np.nan, high=np.nan)


@pytest.mark.parametrize(
    "panels",
    [
        {},
        {"gradcam": []},
        {"gradcam": [Dots("abpc", [])]},
        {"gradcam": [ABPC]},
        {"gradcam": [Dots("abpc", [nan(dot) for dot in ABPC.rows], chance=np.nan)]},
        {"gradcam": [ABPC, MASS], "other": [MASS]},
        {f"explainer {number}": [MASS] for number in range(10)},
        {name: [Dots(name, [Dot(other, 0.1, 0, 0.2, "own") for other in ODD])] for name in ODD},
    ],
    ids=["nothing", "no panel", "no row", "one", "NaN", "unequal", "ten", "odd names"],
)
def test_scores_are_drawn_whatever_they_are(panels, tmp_path):
    figures.save(figures.scores_against_controls(panels), tmp_path / "scores.png")
    layers = {label: dots[0] for label, dots in panels.items() if dots}
    figures.save(figures.scores_of_layers(layers), tmp_path / "layers.png")
    assert min((tmp_path / name).stat().st_size for name in ("scores.png", "layers.png")) > 1000


@pytest.mark.parametrize(
    "names", [["gradcam"], [f"explainer {number}" for number in range(5)], ODD], ids=["one", "five", "odd"]
)
def test_curves_are_drawn_for_any_number_of_explainers_of_any_name(names, tmp_path):
    figure = figures.perturbation_curves({name: {"own": OWN, **dict.fromkeys(ODD, CONTROL)} for name in names})
    with_axes = [axes for axes in figure.axes if axes.lines]
    assert len(with_axes) == len(names)
    labelled = [axes for axes in figure.axes if axes.get_xlabel()]
    assert len(labelled) == min(2, len(names))
    figures.save(figure, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("count", [1, 3])
def test_no_text_lies_on_another(count):
    panels = {f"explainer {number}": [ABPC, MASS] for number in range(count)}
    curves = {label: {"own": OWN, "a blob": CONTROL, "noise": CONTROL} for label in panels}
    for figure in (figures.scores_against_controls(panels), figures.perturbation_curves(curves)):
        figure.draw_without_rendering()
        outside = [*figure.texts, *figure.legends[0].get_texts()]
        inside = [text for axes in figure.axes for text in (axes.xaxis.label, axes._left_title)]
        boxes = [text.get_window_extent() for text in [*outside, *inside] if text is not None and text.get_text()]
        overlapping = [(one, other) for i, one in enumerate(boxes) for other in boxes[:i] if one.overlaps(other)]
        assert not overlapping
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_the_callers_matplotlib_stays_as_it_was():
    before = dict(matplotlib.rcParams)
    figures.scores_against_controls({"gradcam": [ABPC]})
    figures.perturbation_curves({"gradcam": {"own": OWN}})
    assert dict(matplotlib.rcParams) == before
