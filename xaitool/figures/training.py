"""How a training went: the learning rate that was chosen, the schedule, the curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from xaitool.figures.style import BLUE, INK, VERMILION, canvas, headline, light_grid, message, styled
from xaitool.figures.tiles import Array


@styled
def lr_curve(lrs: Sequence[float], losses: Sequence[float], chosen: float | None = None, note: str = "") -> Figure:
    """The learning-rate search: training loss against learning rate, and the rate that was chosen.

    lrs, losses: one a step, as many of the one as of the other; losses may be NaN or infinite. chosen: None where the
    search found none. note: one sentence on how it was chosen, or why not.
    """
    if len(lrs) != len(losses):
        raise ValueError(f"{len(lrs)} learning rates for {len(losses)} losses")
    rates, loss = np.asarray(lrs, float), np.asarray(losses, float)
    drawable = np.isfinite(loss) & np.isfinite(rates) & (rates > 0)
    verdict = "No learning rate was found" if chosen is None else f"Peak learning rate: {chosen:.3g}"
    if not drawable.any():
        return message(verdict, note or "There is no curve: nothing was searched.")

    figure = canvas(8, 4.5)
    axes = figure.add_subplot()
    axes.plot(rates, np.where(drawable, loss, np.nan), color=BLUE, marker="o", markersize=2.5)
    _log_rates(axes, [*rates[drawable], *([] if chosen is None else [chosen])])
    axes.set_ylim(*_loss_limits(loss[drawable]))
    axes.set(xlabel="learning rate (log scale)", ylabel="training loss (smoothed)")
    light_grid(axes)
    if chosen is not None:
        _mark_chosen(axes, rates[drawable], loss[drawable], chosen)
    broken = int(np.count_nonzero(~np.isfinite(loss)))
    gaps = f"The loss is not a finite number at {broken} of {len(loss)} rates." if broken else ""
    headline(axes, verdict, " ".join(filter(None, (note, gaps))))
    return figure


def _log_rates(axes: Axes, rates: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.4, max(rates) * 1.4)
    if max(rates) < 100 * min(rates):  # too few powers of ten to read the axis by
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _loss_limits(loss: Array) -> tuple[float, float]:
    """Room for the descent; the explosion after it may leave through the top, or it would flatten all the rest."""
    lowest = int(loss.argmin())
    low, start = float(loss[lowest]), float(loss[: lowest + 1].max())
    drop = max(start - low, 0.25 * abs(low), 1e-6)
    return low - 0.12 * drop, min(float(loss.max()) + 0.12 * drop, low + 1.6 * drop)


def _mark_chosen(axes: Axes, rates: Array, loss: Array, chosen: float) -> None:
    axes.axvline(chosen, color=VERMILION, linewidth=1.4, linestyle=(0, (4, 2)))
    order = np.argsort(rates)
    if rates.min() <= chosen <= rates.max():
        there = float(np.interp(math.log(chosen), np.log(rates[order]), loss[order]))
        axes.plot(chosen, there, "o", color=VERMILION, markersize=8, zorder=3)
    low, high = np.log(axes.get_xlim())
    right_half = math.log(chosen) > (low + high) / 2
    axes.annotate(
        f"chosen: {chosen:.3g}",
        (chosen, 0.97),
        (-7 if right_half else 7, 0),
        axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if right_half else "left",
        va="top",
        color=VERMILION,
        weight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )


@styled
def training_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and accuracy, epoch by epoch, on training and test data.

    history: one mapping an epoch with ``epoch`` (from 1), ``train_loss``, ``train_accuracy`` (0..1), ``test_loss`` and
    ``test_accuracy`` (None where it was not measured).
    """
    if not history:
        return message("No epoch was finished", "There are no training curves to show.")

    epochs = np.array([entry["epoch"] for entry in history])
    figure = canvas(10.5, 4.5)
    left, right = figure.subplots(1, 2)
    for axes, quantity, unit in ((left, "loss", 1), (right, "accuracy", 100)):
        for part, colour in (("train", BLUE), ("test", VERMILION)):
            values = _column(history, f"{part}_{quantity}") * unit
            if np.isfinite(values).any():
                name = "training data" if part == "train" else "test data"
                axes.plot(epochs, values, color=colour, marker="o", markersize=_marker(len(epochs)), label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
        if len(epochs) == 1:
            axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
            axes.margins(y=0.2)
        axes.set(xlabel="epoch")
        light_grid(axes)
    left.set_ylabel("loss")
    right.set_ylabel("accuracy (%)")

    headline(left, _change("Training loss", _column(history, "train_loss"), "{:.3g}"))
    accuracy = 100 * _column(history, "test_accuracy")
    headline(right, _change("Test accuracy", accuracy, "{:.1f}%"))
    if np.isfinite(accuracy).any():
        _mark_best_and_last(right, epochs, accuracy)
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=4, columnspacing=1.6, handletextpad=0.6)
    return figure


def _column(history: Sequence[Mapping[str, Any]], key: str) -> Array:
    """One quantity over the epochs, NaN where there is none or it is not finite."""
    values = np.array([math.nan if entry.get(key) is None else float(entry[key]) for entry in history])
    return np.where(np.isfinite(values), values, np.nan)


def _marker(points: int) -> float:
    """Dots while there is room for them."""
    return 5.0 if points <= 40 else 0.0


def _change(what: str, values: Array, form: str) -> str:
    """In words: from the first to the last value."""
    known = values[np.isfinite(values)]
    if not len(known):
        return f"{what}: not measured"
    first, last = form.format(known[0]), form.format(known[-1])
    return f"{what}: {last}" if len(known) == 1 else f"{what}: from {first} to {last}"


def _mark_best_and_last(axes: Axes, epochs: Array, accuracy: Array) -> None:
    known = np.flatnonzero(np.isfinite(accuracy))
    best, last = known[accuracy[known].argmax()], known[-1]
    star: dict[str, Any] = {
        "marker": "*",
        "markersize": 15,
        "color": VERMILION,
        "markeredgecolor": INK,
        "markeredgewidth": 0.8,
    }
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 11,
        "color": "none",
        "markeredgecolor": INK,
        "markeredgewidth": 1.4,
    }
    marks = [(best, "best", star), (last, "last", ring)] if best != last else [(best, "best and last", star)]
    for index, name, mark in marks:
        label = f"{name} test: {accuracy[index]:.2f}% (epoch {epochs[index]})"
        axes.plot(epochs[index], accuracy[index], linestyle="none", zorder=3, clip_on=False, label=label, **mark)


@styled
def lr_schedule(lrs: Sequence[float]) -> Figure:
    """The learning rate at every step of the training, in order."""
    if not len(lrs):
        return message("No step was taken", "There is no learning rate to show.")

    rates = np.asarray(lrs, float)
    steps = np.arange(1, len(rates) + 1)
    peak = int(np.nanargmax(rates))
    figure = canvas(8, 3.8)
    axes = figure.add_subplot()
    axes.plot(steps, rates, color=BLUE, marker="o" if len(rates) <= 40 else "", markersize=5)
    if len(rates) == 1:
        axes.set_xlim(0, 2)
    axes.set_ylim(bottom=0, top=float(rates[peak]) * 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set(xlabel="step", ylabel="learning rate")
    light_grid(axes)
    if np.ptp(rates) == 0:
        headline(axes, f"The learning rate is {rates[0]:.3g} throughout")
        return figure
    axes.plot(steps[peak], rates[peak], "o", color=VERMILION, markersize=8, clip_on=False)
    headline(
        axes,
        f"The learning rate peaks at {rates[peak]:.3g}, at step {peak + 1:,} of {len(rates):,}",
        f"from {rates[0]:.3g} at the first step to {rates[-1]:.3g} at the last",
    )
    return figure
