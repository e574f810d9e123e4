"""The curves of two runs over each other."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from xaitool import figures
from xaitool.figures.style import BLUE, HEADLINE, TEXT, VERMILION, width_of


def history(*accuracies: float | None) -> list[dict[str, float | None]]:
    return [
        {"epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.5, "test_loss": 2 / epoch, "test_accuracy": each}
        for epoch, each in enumerate(accuracies, 1)
    ]


def texts(figure) -> set[str]:
    return {artist.get_text() for artist in figure.findobj(Text) if artist.get_text()}


def test_each_run_has_its_own_line_solid_and_dashed():
    loss, accuracy = figures.compared_curves({"A": history(0.5, 0.75), "B": history(0.25, 0.5, 0.875)}).axes
    found = [(line.get_color(), line.get_linestyle(), list(line.get_ydata())) for line in accuracy.lines]
    assert found == [
        (BLUE, "-", [50, 50]),
        (VERMILION, "-", [50, 75]),
        (BLUE, "--", [50, 50, 50]),
        (VERMILION, "--", [25, 50, 87.5]),
    ]
    assert [list(line.get_xdata()) for line in loss.lines] == [[1, 2], [1, 2], [1, 2, 3], [1, 2, 3]]
    assert accuracy.get_title(loc="left") == "Test accuracy: A 75.0%, B 87.5%"
    assert loss.get_title(loc="left") == "Test loss: A 1, B 0.667"


def test_the_legend_names_runs_and_data():
    figure = figures.compared_curves({"A": history(0.5), "B": history(0.5)})
    assert {"A: training data", "A: test data", "B: training data", "B: test data"} <= texts(figure)


def test_what_was_not_measured_is_said():
    _, accuracy = figures.compared_curves({"A": history(None, None), "B": history(0.5, None)}).axes
    assert accuracy.get_title(loc="left") == "Test accuracy: A not measured, B 50.0%"


def test_the_schedules_lie_over_each_other():
    (axes,) = figures.compared_schedules({"A": [0.1, 0.4, 0.2], "B": [0.3, 0.05]}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.1, 0.4, 0.2], [0.3, 0.05]]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert axes.get_title(loc="left") == "Peak learning rate: A 0.4, B 0.3"


def test_long_names_are_shortened():
    long = "a name that nobody would give to a run, but somebody did " * 3
    for figure in (
        figures.compared_curves({long: history(0.5), "B $x_1$": history(0.5)}),
        figures.compared_schedules({long: [0.1], "B": [0.2]}),
    ):
        headlines = {axes.get_title(loc="left") for axes in figure.axes}
        # No wider than the axes they stand above, of which there are two in ten inches.
        assert max(width_of(text, HEADLINE, "bold") for text in headlines) < 4.6
        assert max(width_of(text, TEXT) for text in texts(figure) - headlines) < 2.5
        assert any("…" in text for text in texts(figure))
        figures.drawn(figure, ("svg",))


def test_no_epoch_and_no_step_is_a_message():
    assert "No epoch was finished" in texts(figures.compared_curves({"A": [], "B": []}))
    assert "No step was taken" in texts(figures.compared_schedules({"A": [], "B": []}))


def test_one_run_without_an_epoch_does_not_hide_the_other():
    _, accuracy = figures.compared_curves({"A": [], "B": history(0.5)}).axes
    assert accuracy.get_title(loc="left") == "Test accuracy: A not measured, B 50.0%"


def test_equal_figures_are_equal_files():
    one, two = (
        figures.drawn(figures.compared_curves({"A": history(0.5), "B": history(0.6)}), ("svg",)) for _ in range(2)
    )
    assert one == two


def test_only_two_runs_are_compared():
    with pytest.raises(ValueError, match="3 runs given, 2 are compared"):
        figures.compared_schedules({name: np.ones(3) for name in "ABC"})
