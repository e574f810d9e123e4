"""How two trainings went: their curves and schedules over each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from xaitool.figures.style import (
    BLUE,
    HEADLINE,
    INK,
    TEXT,
    VERMILION,
    canvas,
    fit,
    headline,
    light_grid,
    message,
    styled,
)
from xaitool.figures.tiles import Array

History = Sequence[Mapping[str, Any]]

# The first run's lines and the second's: told apart by more than their colours.
_LINES: Final[tuple[dict[str, Any], ...]] = (
    {"linestyle": "-", "marker": "o", "markersize": 5.0},
    {"linestyle": (0, (5, 2)), "marker": "D", "markersize": 5.5, "markerfacecolor": "white"},
)
_PARTS: Final = (("train", "training data", BLUE), ("test", "test data", VERMILION))
_NAME: Final = 2.2  # inches for a run's name and its data in the legend
_NAME_ABOVE: Final = 0.8  # and in a headline
_MOST_DOTS: Final = 40


@styled
def compared_curves(histories: Mapping[str, History]) -> Figure:
    """Loss and accuracy of two runs, epoch by epoch, over each other; the first run's lines are solid.

    histories: by the run's name, two of them, each as :func:`xaitool.figures.training_curves` takes it.
    """
    _check(histories)
    if not any(map(len, histories.values())):
        return message("No epoch was finished", "There are no training curves to show.")

    figure = canvas(10.5, 4.5)
    left, right = figure.subplots(1, 2)
    longest = max(map(len, histories.values()))
    for axes, quantity, unit in ((left, "loss", 1), (right, "accuracy", 100)):
        for history, line in zip(histories.values(), _LINES, strict=True):
            epochs = [entry["epoch"] for entry in history]
            for part, _, colour in _PARTS:
                values = _column(history, f"{part}_{quantity}") * unit
                axes.plot(epochs, values, color=colour, **_dotted(line, longest))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
        if longest == 1:
            axes.set_xlim(0, 2)
            axes.margins(y=0.2)
        axes.set(xlabel="epoch")
        light_grid(axes)
    left.set_ylabel("loss")
    right.set_ylabel("accuracy (%)")
    headline(left, _last("Test loss", histories, "test_loss", "{:.3g}", 1))
    headline(right, _last("Test accuracy", histories, "test_accuracy", "{:.1f}%", 100))
    handles = [
        Line2D([], [], color=colour, label=fit(name, _NAME, TEXT, frame=f"{{}}: {words}"), **_dotted(line, longest))
        for name, line in zip(histories, _LINES, strict=True)
        for _, words, colour in _PARTS
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, columnspacing=1.6, handlelength=3.2)
    return figure


@styled
def compared_schedules(schedules: Mapping[str, Sequence[float]]) -> Figure:
    """The learning rates of two runs at every step, over each other; the first run's line is solid.

    schedules: by the run's name, two of them, one rate a step.
    """
    _check(schedules)
    if not any(map(len, schedules.values())):
        return message("No step was taken", "There is no learning rate to show.")

    figure = canvas(8, 3.8)
    axes = figure.add_subplot()
    longest = max(map(len, schedules.values()))
    for (name, lrs), line, colour in zip(schedules.items(), _LINES, (BLUE, INK), strict=True):
        steps = np.arange(1, len(lrs) + 1)
        axes.plot(steps, np.asarray(lrs, float), color=colour, label=fit(name, _NAME, TEXT), **_dotted(line, longest))
    if longest == 1:
        axes.set_xlim(0, 2)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set(xlabel="step", ylabel="learning rate")
    light_grid(axes)
    peaks = [f"{_in_headline(name)} {max(lrs):.3g}" if len(lrs) else "" for name, lrs in schedules.items()]
    headline(axes, f"Peak learning rate: {', '.join(filter(None, peaks))}")
    figure.legend(loc="outside lower left", ncols=2, columnspacing=1.6, handlelength=3.2)
    return figure


def _check(runs: Mapping[str, Any]) -> None:
    if len(runs) != len(_LINES):
        raise ValueError(f"{len(runs)} runs given, {len(_LINES)} are compared")


def _in_headline(name: str) -> str:
    return fit(name, _NAME_ABOVE, HEADLINE, "bold")


def _dotted(line: dict[str, Any], points: int) -> dict[str, Any]:
    """Dots while there is room for them."""
    return line if points <= _MOST_DOTS else {**line, "marker": ""}


def _column(history: History, key: str) -> Array:
    """One quantity over the epochs, NaN where there is none or it is not finite."""
    values = np.array([math.nan if entry.get(key) is None else float(entry[key]) for entry in history], float)
    return np.where(np.isfinite(values), values, np.nan)


def _last(what: str, histories: Mapping[str, History], key: str, form: str, unit: float) -> str:
    """``Test accuracy: A 77.0%, B 81.2%``, of each run's last epoch that has it."""
    said = []
    for name, history in histories.items():
        known = _column(history, key)
        known = known[np.isfinite(known)]
        said.append(f"{_in_headline(name)} {form.format(unit * known[-1]) if len(known) else 'not measured'}")
    return f"{what}: {', '.join(said)}"
