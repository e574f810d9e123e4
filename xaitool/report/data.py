"""The report's section on the data: what the model learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xaitool.report.model import FigureItem, Section

if TYPE_CHECKING:
    from xaitool.results import Run

# Drawn while the data set was at hand.
_FIGURES = {
    "random_samples": "Random training images with their classes.",
    "samples_by_class": "Training images, one row a class.",
    "channels": "One training image and its red, green and blue channels.",
}


def data_section(run: Run) -> Section:
    """How many images there are, and some of them."""
    data = run.journal["stages"]["data"]
    text = f"{data['train']:,} training and {data['test']:,} test images in {len(data['classes'])} classes."
    paths = {run.folder / "figures" / f"{name}.png": alt for name, alt in _FIGURES.items()}
    drawn = [FigureItem(path.read_bytes(), alt) for path, alt in paths.items() if path.is_file()]
    return Section("Data", text, drawn, folded=True, name="data")
