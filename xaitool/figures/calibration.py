"""Whether a model is as sure as it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from xaitool.figures.style import BLUE, GRID, INK, MUTED, VERMILION, canvas, headline, light_grid, message, styled


@styled
def reliability(bins: Sequence[Mapping[str, Any]], ece: float) -> Figure:
    """The reliability diagram: accuracy against confidence, bin by bin, and how many images each bin has.

    bins: each with ``low`` and ``high`` (of the confidence), ``images``, ``accuracy`` and ``confidence``, all in 0..1,
    the last two None where there is no image. ece: the expected calibration error, 0..1.
    """
    filled = [each for each in bins if each["images"]]
    if not filled:
        return message("No image was classified", "There is no reliability diagram to show.")

    figure = canvas(8, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges, widths = [each["low"] for each in filled], [each["high"] - each["low"] for each in filled]
    accuracy = [each["accuracy"] for each in filled]
    above.plot((0, 1), (0, 1), color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=3, label="as sure as right")
    above.bar(edges, accuracy, widths, align="edge", color=BLUE, edgecolor="white", linewidth=0.8, label="accuracy")
    above.plot(
        [each["confidence"] for each in filled],
        accuracy,
        "o",
        color=VERMILION,
        markersize=5,
        zorder=4,
        label="at its mean confidence",
    )
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above.legend(loc="upper left")
    below.bar(edges, [each["images"] for each in filled], widths, align="edge", color=GRID, edgecolor=MUTED)
    below.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    for axes in (above, below):
        light_grid(axes)
    images = sum(each["images"] for each in filled)
    gap = sum(each["images"] * (each["confidence"] - each["accuracy"]) for each in filled) / images
    words = "more sure than right" if gap > 0 else "less sure than right"
    detail = f"On the average the model is {abs(100 * gap):.1f} points {words}."
    headline(above, f"Expected calibration error: {100 * ece:.1f}%", detail)
    return figure
