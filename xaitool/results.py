"""A finished run: what its folder holds, read when asked for."""

from __future__ import annotations

import csv
import io
import shlex
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, overload
from zipfile import BadZipFile

from xaitool.errors import FolderError
from xaitool.files import filename, parsed
from xaitool.suggest import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from xaitool.contracts import ModelBundle
    from xaitool.judge.judged import Judged
    from xaitool.judge.shortcut import Finding

# What numpy raises of a file that is no array of its own, or claims to be a larger one than there is memory for.
_NO_ARRAY = (ValueError, EOFError, OSError, MemoryError, OverflowError, BadZipFile, TokenError, SyntaxError)

# Of the run folder.
FORMAT = 1


def resume_command(folder: Path) -> str:
    """The command that goes on with a run, for a shell that is where this process is."""
    here = Path.cwd()
    path = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"xaitool run --resume {shlex.quote(str(path))}"


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
        """How it went: state, stages, seconds. Raises FolderError where it is of another format."""
        journal = self._json("run.json")
        if journal.get("format", FORMAT) != FORMAT:
            raise FolderError(
                f"{self.folder} was made by another version of xaitool: its format is {journal['format']}, and this "
                f"version reads {FORMAT}; open it with the version that recipe.lock.yaml names"
            )
        return journal

    def did(self, stage: str) -> bool:
        """Whether the run has come to the end of a stage, and what the stage keeps is there to be read."""
        # Where some explainers failed, the stage is to be tried again; what the others gave is there.
        return stage in self.journal["done"] or bool(self.journal["stages"].get(stage, {}).get("failed"))

    @property
    def trained(self) -> bool:
        """Whether it has trained a model to the end."""
        return self.did("fit")

    @property
    def tested(self) -> bool:
        """Whether it has test results."""
        return self.did("evaluate")

    @property
    def explains(self) -> bool:
        """Whether it has explained images, be it by no method at all."""
        return self.did("explain")

    @property
    def complete(self) -> bool:
        """Whether nothing was left to do. It may have failed all the same: an explainer fell short, say."""
        return self.journal["state"] in ("finished", "failed") and self.journal["stage"] is None

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Figures on the test images: accuracy, loss, per class, confusion matrix."""
        return self._json("metrics.json")

    @property
    def accuracy(self) -> float:
        """Test accuracy, 0..1."""
        return float(self.metrics["accuracy"])

    @property
    def trains(self) -> bool:
        """Whether the run trains its model, or has come to it; else the model is explained as it was."""
        begun = {"tune", "fit"} & self.journal["stages"].keys()
        return bool(begun) or (self.folder / "history.jsonl").is_file()

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One record an epoch; empty where nothing was trained."""
        if not self.trains:
            return []
        try:
            epochs = [parsed(line) for line in self._text("history.jsonl").splitlines()]
        except ValueError as error:
            raise FolderError(f"{self.folder / 'history.jsonl'} is damaged: {error}") from error
        if not epochs or not all(isinstance(epoch, dict) for epoch in epochs):
            raise FolderError(f"{self.folder / 'history.jsonl'} is damaged: a record for each epoch is missing")
        return epochs

    @cached_property
    def predictions(self) -> list[dict[str, str]]:
        """One row a test image, as in ``predictions.csv``."""
        return self._table("predictions.csv")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved recipe, as plain values."""
        from xaitool.recipe.source import read

        self._text("recipe.lock.yaml")  # told apart: a recipe that is none, and a file that is none
        return read(self._file("recipe.lock.yaml")).data

    @cached_property
    def recipe(self) -> str:
        """The resolved recipe, as it is written down."""
        return self._text("recipe.lock.yaml")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the run ran on: versions, machine, device, command."""
        return self._json("environment.json")

    @cached_property
    def lr_finder(self) -> dict[str, Any]:
        """The learning-rate search: rates, losses, the rate that was chosen, and why."""
        return self._json("lr_finder.json")

    @cached_property
    def lrs(self) -> list[float]:
        """The learning rate at each step of the training; empty where nothing was trained."""
        return self._json("lr_schedule.json")["lrs"] if self.trained else []

    @cached_property
    def explained(self) -> list[dict[str, str]]:
        """The explained images, in the order of the maps."""
        return self._table("explanations/images.csv")

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """The explained images, in the order of the maps: N×H×W×3."""
        return self._array("explanations/images.npy")

    @property
    def methods(self) -> list[str]:
        """The labels of the explainers that gave maps."""
        return list(self.journal["stages"].get("explain", {}).get("methods", []))

    @property
    def targets(self) -> list[str]:
        """The targets that were explained: ``predicted``, ``true``, ``runner_up``, or classes by name."""
        return ["true" if target is True else target for target in self.settings["explain"]["targets"]]

    def maps(self, method: str, target: str = "predicted") -> NDArray[np.float32]:
        """An explainer's maps of the explained images: N×H×W. Raises FolderError where there are none."""
        for what, name, known in (("method", method, self.methods), ("target", target, self.targets)):
            if name not in known:
                hint = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none'}"
                raise FolderError(f"{self.folder} has no maps of {what} '{name}'{hint}")
        return self._array(f"explanations/{filename(method)}/{filename(target)}.npy")

    def curves(self, method: str) -> dict[str, Any] | None:
        """What the metric that decides saw in the first of the explained images; None where it was not asked."""
        return self._json(f"explanations/{filename(method)}/curves.json", optional=True)

    @cached_property
    def verdicts(self) -> dict[str, Any]:
        """Each explainer's verdict, scores and controls, as in ``verdicts.json``; empty where none was judged."""
        return self._json("verdicts.json", optional=True) or {}

    @cached_property
    def judged(self) -> Judged:
        """The same as objects."""
        from xaitool.judge.judged import Judged

        return Judged.from_dict(self.verdicts, self._json("judged/curves.json", optional=True) or {})

    @cached_property
    def judged_images(self) -> list[dict[str, str]]:
        """The images that explainers were judged on, in the order of their maps; empty where none was judged."""
        return self._table("judged/images.csv") if self.verdicts else []

    def judged_maps(self, method: str) -> NDArray[np.float32]:
        """An explainer's maps, for the predicted class, of the images it was judged on: N×H×W."""
        return self._array(f"judged/{filename(method)}.npy")

    @cached_property
    def judged_pixels(self) -> NDArray[np.uint8]:
        """The images that explainers were judged on: N×H×W×3."""
        return self._array("judged/images.npy")

    @cached_property
    def shortcut(self) -> dict[str, Any] | None:
        """What came of a planted shortcut, as in ``shortcut.json``; None where none was planted."""
        return self._json("shortcut.json", optional=True)

    @cached_property
    def finding(self) -> Finding | None:
        """The same as an object."""
        from xaitool.judge.shortcut import Finding

        return Finding.from_dict(self.shortcut) if self.shortcut else None

    @cached_property
    def triage(self) -> dict[str, Any] | None:
        """What triage found out about the mistakes, as in ``triage.json``; None where it was not asked."""
        return self._json("triage.json", optional=True)

    @cached_property
    def mistakes(self) -> list[dict[str, str]]:
        """One row a misclassified test image, as in ``triage.csv``; empty without triage."""
        return self._table("triage.csv") if self.triage else []

    @property
    def report(self) -> Path:
        """The report's file."""
        return self._file("report.html")

    def write_report(self) -> Path:
        """Draw all figures again and write ``report.html`` again, from what is in the folder."""
        from xaitool.report.write import write_report

        write_report(self)
        return self.report

    def weights(self) -> dict[str, Any]:
        """The trained model's state dict."""
        from safetensors.torch import load_file

        return dict(load_file(self._file("model.safetensors")))

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise FolderError(f"{self.folder} has no {name}; run.json says how far the run got")
        return path

    @overload
    def _json(self, name: str) -> dict[str, Any]: ...
    @overload
    def _json(self, name: str, *, optional: bool) -> dict[str, Any] | None: ...
    def _json(self, name: str, *, optional: bool = False) -> dict[str, Any] | None:
        if optional and not (self.folder / name).is_file():
            return None
        try:
            found = parsed(self._text(name))
        except ValueError as error:
            raise FolderError(f"{self.folder / name} is damaged: {error}") from error
        if not isinstance(found, dict):
            raise FolderError(f"{self.folder / name} is damaged: it holds {type(found).__name__}, not an object")
        return found

    def _array(self, name: str) -> NDArray[Any]:
        import numpy as np

        try:
            return np.load(self._file(name), allow_pickle=False)  # type: ignore[no-any-return]
        except _NO_ARRAY as error:
            raise FolderError(f"{self.folder / name} is damaged: {error}") from error

    def _table(self, name: str) -> list[dict[str, str]]:
        try:
            rows = list(csv.DictReader(io.StringIO(self._text(name), newline=""), strict=True))
        except csv.Error as error:
            raise FolderError(f"{self.folder / name} is damaged: {error}") from error
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise FolderError(f"{self.folder / name} is damaged: row {number} has not as many fields as the head")
        return rows

    def _text(self, name: str) -> str:
        try:
            return self._file(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FolderError(f"{self.folder / name} cannot be read: {error}") from error
