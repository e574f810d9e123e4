"""A finished run: what its folder holds, read when asked for."""

from __future__ import annotations

import csv
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaitool.errors import FolderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from xaitool.contracts import ModelBundle


class Run:
    """A run's folder. ``Run(path)`` opens one that was made earlier.

    folder: where it is. model: the trained model (None for a run that was opened rather than just made).
    Raises FolderError where the folder is not a run's.
    """

    def __init__(self, folder: str | Path, model: ModelBundle | None = None) -> None:
        self.folder = Path(folder)
        self.model = model
        if not (self.folder / "run.json").is_file():
            raise FolderError(f"{self.folder} is not a run's folder: it has no run.json")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def journal(self) -> dict[str, Any]:
        """How it went: state, stages, seconds."""
        return self._json("run.json")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Figures on the test images: accuracy, loss, per class, confusion matrix."""
        return self._json("metrics.json")

    @property
    def accuracy(self) -> float:
        """Test accuracy, 0..1."""
        return float(self.metrics["accuracy"])

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One record an epoch."""
        return [json.loads(line) for line in self._file("history.jsonl").read_text("utf-8").splitlines()]

    @cached_property
    def predictions(self) -> list[dict[str, str]]:
        """One row a test image, as in ``predictions.csv``."""
        return self._table("predictions.csv")

    @cached_property
    def explained(self) -> list[dict[str, str]]:
        """The explained images, in the order of the maps."""
        return self._table("explanations/images.csv")

    @property
    def report(self) -> Path:
        """The report's file."""
        return self._file("report.html")

    def maps(self, method: str, target: str = "predicted") -> NDArray[np.float32]:
        """An explainer's maps of the explained images: N×H×W."""
        import numpy as np

        from xaitool.engine.folder import filename

        path = self._file(f"explanations/{filename(method)}/{filename(target)}.npy")
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]

    def weights(self) -> dict[str, Any]:
        """The trained model's state dict."""
        from safetensors.torch import load_file

        return dict(load_file(self._file("model.safetensors")))

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise FolderError(f"{self.folder} has no {name}; run.json says how far the run got")
        return path

    def _json(self, name: str) -> dict[str, Any]:
        return json.loads(self._file(name).read_text("utf-8"))  # type: ignore[no-any-return]

    def _table(self, name: str) -> list[dict[str, str]]:
        with self._file(name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
