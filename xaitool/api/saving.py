"""Explained images as files: an overlay, the raw map beside it, and a row in a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xaitool.figures.explanations import overlay
from xaitool.files import filename

COLUMNS = (
    "number", "file", "predicted", "confidence", "runner_up", "runner_up_probability", "target", "target_probability",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What is said of an image: what the model takes it for, and which class was explained.

    number: its place among all; file: its name. Probabilities are in 0..1.
    """

    number: int
    file: str
    predicted: str
    confidence: float
    runner_up: str
    runner_up_probability: float
    target: str
    target_probability: float

    @classmethod
    def of(
        cls, numbers: Iterable[int], files: Sequence[str], logits: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> list[Row]:
        """One row an image. logits: N×classes; targets: N int64."""
        probabilities = logits.double().softmax(1)
        best, which = probabilities.topk(min(2, len(classes)), dim=1)
        of_target = probabilities.gather(1, targets[:, None])[:, 0].tolist()
        rows = []
        for place, number in enumerate(numbers):
            first, *second = which[place].tolist()
            rows.append(
                cls(
                    number=number,
                    file=files[place],
                    predicted=classes[first],
                    confidence=float(best[place, 0]),
                    runner_up=classes[second[0]] if second else "",
                    runner_up_probability=float(best[place, 1]) if second else 0.0,
                    target=classes[int(targets[place])],
                    target_probability=of_target[place],
                )
            )
        return rows

    @property
    def stem(self) -> str:
        """How its files' names begin: ``00012-cat``; without the number, two files of one name would be one."""
        return f"{self.number:05d}-{filename(PurePath(self.file).stem)}"

    @property
    def caption(self) -> str:
        """``cat 87%``, and the target where that is another class."""
        said = f"{self.predicted} {100 * self.confidence:.0f}%"
        if self.target == self.predicted:
            return said
        return f"{said}; explained: {self.target} {100 * self.target_probability:.0f}%"

    def values(self) -> list[str]:
        """The cells of its line in ``predictions.csv``."""
        cells = [getattr(self, name) for name in COLUMNS]
        return [f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in cells]


def table(rows: Iterable[Row], header: bool = True) -> str:
    """``predictions.csv``, or a part of it without the line that names the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def picture(image: NDArray[np.uint8], map: NDArray[np.float32]) -> Image.Image:
    """An H×W×3 uint8 image with its map (H×W) over it, in the report's colours."""
    return Image.fromarray((overlay(image, map) * 255).round().astype(np.uint8))


def save_pair(stem: Path, image: NDArray[np.uint8], map: NDArray[np.float32]) -> None:
    """Write ``stem.png``, the overlay, and ``stem.npy``, the raw map. Raises OSError."""
    picture(image, map).save(stem.with_name(f"{stem.name}.png"), compress_level=1)
    np.save(stem.with_name(f"{stem.name}.npy"), np.asarray(map, np.float32), allow_pickle=False)
