"""A run's event file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

# A figure of an epoch's record -> its curve; TensorBoard draws what shares a first word side by side.
_CURVES = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "lr": "learning_rate",
    "images_per_second": "images_per_second",
}


class Events:
    """The event file of one run, in a folder that TensorBoard can read while it grows."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        self.writer: Any = SummaryWriter(str(folder))
        text = yaml.safe_dump(dict(recipe), sort_keys=False)
        self.writer.add_text("recipe", "\n".join(f"    {line}" for line in text.splitlines()))
        self.writer.flush()

    def epoch(self, record: Mapping[str, Any]) -> None:
        """One point on every curve."""
        for figure, curve in _CURVES.items():
            if record.get(figure) is not None:
                self.writer.add_scalar(curve, record[figure], record["epoch"])
        self.writer.flush()

    def stage(self, stage: str, record: Mapping[str, Any]) -> None:
        """The numbers of a stage, each as one point: ``evaluate/accuracy``, ``tune/max_lr``, ``fit/seconds``."""
        for name, value in record.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.writer.add_scalar(f"{stage}/{name}", value)
        self.writer.flush()

    def end(self, state: str, figures: Sequence[Path]) -> None:
        """How the run ended, and its pictures."""
        self.writer.add_text("state", state)
        for path in figures:
            with Image.open(path) as image:
                self.writer.add_image(path.stem, np.asarray(image.convert("RGB")), dataformats="HWC")
        self.writer.close()
