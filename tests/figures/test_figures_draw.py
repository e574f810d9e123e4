"""Every figure draws without a warning, on ordinary and on extreme inputs, into a PNG with something in it."""

from __future__ import annotations

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from xaitool import figures

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(0)
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
LONG = [f"${letter}^ \\frac$ class name of forty characters {letter}" for letter in "ABC"]
HUNDRED = [f"class_{index}" for index in range(100)]
RATES = np.geomspace(1e-4, 10, 50)


def pictures(count: int, side: int = 32) -> np.ndarray:
    return RNG.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def labels(count: int, classes: list[str]) -> np.ndarray:
    return np.arange(count) % len(classes)


def epochs(count: int, tested: bool = True) -> list[dict[str, float | None]]:
    return [
        {
            "epoch": epoch,
            "lr": 0.1,
            "train_loss": 2 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "test_loss": 2.1 / epoch if tested else None,
            "test_accuracy": 0.9 - 0.5 / epoch if tested else None,
            "seconds": 1.0,
        }
        for epoch in range(1, count + 1)
    ]


def counts(size: int) -> np.ndarray:
    return RNG.poisson(2, (size, size)) + 90 * np.eye(size, dtype=int)


def explained(
    count: int, classes: list[str], side: int = 32, targets: tuple[str, ...] = ("predicted", "true")
) -> Figure:
    true, saliency = labels(count, classes), RNG.random((count, side, side))
    maps = dict.fromkeys(targets, saliency)
    return figures.explained(
        pictures(count, side), true, (true + 1) % len(classes), np.full(count, 0.87), classes, maps, "Grad-CAM"
    )


def mistaken(count: int, classes: list[str], side: int = 32) -> Figure:
    true = labels(count, classes)
    return figures.mistakes(pictures(count, side), true, (true + 1) % len(classes), np.full(count, 1.0), classes)


CASES = {
    "random": lambda: figures.random_samples(pictures(9), labels(9, CLASSES), CLASSES),
    "random, one": lambda: figures.random_samples(pictures(1), [0], LONG),
    "random, none": lambda: figures.random_samples(pictures(0), [], CLASSES),
    "random, float 224×224": lambda: figures.random_samples(pictures(2, 224) / 255, [0, 1], LONG),
    "by class": lambda: figures.samples_by_class(pictures(30), labels(30, CLASSES), CLASSES, per_class=2),
    "by class, three": lambda: figures.samples_by_class(pictures(4), [0, 0, 1, 0], LONG),
    "by class, a hundred": lambda: figures.samples_by_class(pictures(100), labels(100, HUNDRED), HUNDRED),
    "by class, none": lambda: figures.samples_by_class(pictures(0), [], CLASSES),
    "channels": lambda: figures.channels(pictures(1)[0], "a cat"),
    "channels, black": lambda: figures.channels(np.zeros((224, 224, 3)), "black " * 50),
    "lr": lambda: figures.lr_curve(RATES, 2 - np.log(RATES) ** 2 / 99, 0.1, "The steepest descent. " * 12),
    "lr, failed": lambda: figures.lr_curve(RATES, np.where(RATES > 1, np.nan, 2.0), None, "No descent."),
    "lr, infinite": lambda: figures.lr_curve(RATES, np.where(RATES > 1, np.inf, 2 + RATES), None),
    "lr, all nan": lambda: figures.lr_curve(RATES, np.full(50, np.nan), None, "The loss was NaN from the start."),
    "lr, nothing searched": lambda: figures.lr_curve([], [], 0.1, "Given in the recipe."),
    "lr, one step": lambda: figures.lr_curve([0.1], [0.0], 0.1),
    "lr, chosen beyond the curve": lambda: figures.lr_curve([0.1, 0.2], [2.0, 1.0], 3.0),
    "curves": lambda: figures.training_curves(epochs(20)),
    "curves, one epoch": lambda: figures.training_curves(epochs(1)),
    "curves, not tested": lambda: figures.training_curves(epochs(3, tested=False)),
    "curves, tested at the end": lambda: figures.training_curves([*epochs(2, tested=False), epochs(3)[2]]),
    "curves, none": lambda: figures.training_curves([]),
    "curves, diverged": lambda: figures.training_curves([{**epochs(1)[0], "train_loss": float("inf")}]),
    "schedule": lambda: figures.lr_schedule(list(np.linspace(0.001, 0.1, 5000)) + list(np.linspace(0.1, 1e-6, 5000))),
    "schedule, constant": lambda: figures.lr_schedule([0.1] * 10),
    "schedule, one step": lambda: figures.lr_schedule([0.1]),
    "schedule, none": lambda: figures.lr_schedule([]),
    "confusion": lambda: figures.confusion_matrix(counts(10), CLASSES),
    "confusion, three": lambda: figures.confusion_matrix(counts(3), LONG),
    "confusion, a hundred": lambda: figures.confusion_matrix(counts(100), HUNDRED),
    "confusion, no mistake": lambda: figures.confusion_matrix(np.diag([5, 5, 0]), LONG),
    "confusion, no image": lambda: figures.confusion_matrix(np.zeros((3, 3), int), LONG),
    "confusion, one class": lambda: figures.confusion_matrix(np.array([[4]]), ["all"]),
    "mistakes": lambda: mistaken(6, CLASSES),
    "mistakes, one": lambda: mistaken(1, LONG, 224),
    "mistakes, none": lambda: mistaken(0, CLASSES),
    "explained": lambda: explained(3, CLASSES),
    "explained, one": lambda: explained(1, LONG, 224),
    "explained, one target": lambda: explained(4, HUNDRED, targets=("predicted",)),
    "explained, many targets": lambda: explained(2, CLASSES, targets=tuple("abcdef")),
    "explained, no image": lambda: explained(0, CLASSES),
}


@pytest.mark.parametrize("case", CASES)
def test_a_figure_becomes_a_picture(case, tmp_path):
    path = tmp_path / "figure.png"
    figures.save(CASES[case](), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.min() < 120, "there is no ink on it"
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all(), "something touches the edge"
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize("case", ["confusion", "confusion, three", "explained", "lr", "curves", "by class, three"])
def test_no_text_is_cut_at_the_edge(case, tmp_path):
    figure = CASES[case]()
    figure.set_dpi(50)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_equal_figures_are_equal_files(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.lr_schedule([0.1, 0.2, 0.1]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def half(self, file, **_):
        file.write(b"half a picture")
        raise OSError("disk full")

    (tmp_path / "figure.png").write_bytes(b"the old one")
    figure = figures.lr_schedule([0.1])
    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, tmp_path / "figure.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_bytes() == b"the old one"


def test_settings_of_the_caller_are_left_alone_and_have_no_effect(tmp_path):
    figures.save(figures.lr_schedule([0.1, 0.2]), tmp_path / "plain.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9, "savefig.dpi": 20}):
        before = dict(matplotlib.rcParams)
        figures.save(figures.lr_schedule([0.1, 0.2]), tmp_path / "other.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_drawing_needs_neither_pyplot_nor_torch(tmp_path):
    code = (
        "import sys; from xaitool import figures; figures.save(figures.lr_schedule([1, 2]), sys.argv[1]);"
        "print([name for name in ('matplotlib.pyplot', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "figure.png")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


def test_a_script_that_no_font_here_has_is_drawn_without_a_word() -> None:
    """Gothic letters, which hardly any machine has; the page has the names as text."""
    names = ["\U00010330\U00010331", "\U00010332"]
    content = figures.drawn(figures.confusion_matrix(np.array([[3, 1], [2, 4]]), names))
    assert content["png"].startswith(b"\x89PNG")
