"""The stages of an interrupted run that were finished: what they left in its folder, read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from xaitool.contracts import Adjustable, Explainer, Subject, Tuned
from xaitool.engine.checkpoint import PLACE, Saved, keep, kept, sha256
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.folder import RunFolder
from xaitool.errors import FolderError
from xaitool.files import parsed
from xaitool.judge.choice import Choice
from xaitool.judge.judged import Judged
from xaitool.results import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# The stages in their order, and what each leaves in the folder. Data, model and report are made anew in every run: the
# first two have to be at hand, and the last tells of the whole.
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "model": (),
    "tune": ("lr_finder.json",),
    "fit": ("history.jsonl", "lr_schedule.json", "model.safetensors", f"{PLACE}/fit-*"),
    "evaluate": ("metrics.json", "predictions.csv", f"{PLACE}/evaluation.*"),
    "choose": (f"{PLACE}/choices.json",),
    "explain": ("explanations",),
    "judge": ("verdicts.json", "judged"),
    "curves": ("explanations/*/curves.json",),
    "shortcut": ("shortcut.json",),
    "triage": ("triage.csv", "triage.json"),
    "report": ("report.html", "figures"),
}
STAGES = tuple(OUTPUTS)


@dataclass
class Finished:
    """What finished stages gave; None where that has not been done.

    stages: their names. weights: the trained model's. choices: of the explainers' layers, by label. maps: by label and
    target.
    """

    stages: list[str] = field(default_factory=list)
    tuned: Tuned | None = None
    weights: dict[str, Tensor] | None = None
    evaluation: Evaluation | None = None
    choices: dict[str, Choice] | None = None
    maps: dict[str, dict[str, NDArray[np.float32]]] | None = None
    judged: Judged | None = None

    def __contains__(self, stage: str) -> bool:
        return stage in self.stages

    @classmethod
    def read(cls, folder: RunFolder, stages: Collection[str], warn: Callable[[str], None]) -> Finished:
        """Read back what the `stages` left, up to the first that is damaged."""
        found, run = cls(), Run(folder.path)
        for stage in STAGES:
            if stage not in stages:
                continue
            try:
                found._take(stage, folder, run)
            except FolderError as error:
                warn(f"{error}; the run goes on from the stage {stage}")
                break
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:  # it is not what was written
                damage = f"damaged in {' '.join(OUTPUTS[stage])} ({type(error).__name__}: {error})"
                warn(f"{folder}: {damage}; the run goes on from the stage {stage}")
                break
            found.stages.append(stage)
        return found

    def _take(self, stage: str, folder: RunFolder, run: Run) -> None:
        match stage:
            case "tune":
                found = run.lr_finder
                losses = [float("nan") if loss is None else loss for loss in found["losses"]]
                self.tuned = Tuned(found["max_lr"], found["lrs"], losses, found["note"])
            case "fit":
                self.weights = _weights(run)
            case "evaluate":
                saved = kept(folder, "evaluation")
                self.evaluation = Evaluation(saved.tensors["logits"], saved.tensors["labels"])
            case "choose":
                self.choices = {label: Choice.from_dict(each) for label, each in _choices(folder).items()}
            case "explain":
                self.maps = {label: {each: run.maps(label, each) for each in run.targets} for label in run.methods}
            case "judge":
                self.judged = run.judged

    def chosen(self, explainers: Mapping[str, Explainer], subject: Subject) -> dict[str, Explainer]:
        """The explainers with the settings that were chosen."""
        found = dict(explainers)
        for label, choice in (self.choices or {}).items():
            explainer = explainers[label]
            if isinstance(explainer, Adjustable):
                settings = {explainer.current(subject): explainer, **explainer.alternatives(subject)}
                found[label] = settings[choice.used]
        return found


def keep_evaluation(folder: RunFolder, evaluation: Evaluation) -> None:
    """So that it need not be done again; predictions.csv has not all of it."""
    keep(folder, "evaluation", Saved({"logits": evaluation.logits, "labels": evaluation.labels}, {}))


def keep_choices(folder: RunFolder, choices: Mapping[str, Choice]) -> None:
    """So that the layers need not be chosen again."""
    folder.write_json(f"{PLACE}/choices.json", {label: choice.as_dict() for label, choice in choices.items()})


def _choices(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / PLACE / "choices.json"
    try:
        found: dict[str, Any] = parsed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FolderError(f"{path} is missing or damaged: {error}") from error
    return found


def _weights(run: Run) -> dict[str, Tensor]:
    path = run.folder / "model.safetensors"
    if sha256(path) != run.journal["stages"]["fit"].get("sha256"):
        raise FolderError(f"{path} is damaged: its sha256 is not the one it was written with")
    try:
        return run.weights()
    except SafetensorError as error:
        raise FolderError(f"{path} is damaged: {error}") from error
