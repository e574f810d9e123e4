"""Every error a user can meet.

All of them derive from :class:`XaitoolError`. The command line prints such an error without a traceback and exits with
its ``exit_status``; anything else that escapes is a defect of xaitool or of a plugin and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class XaitoolError(Exception):
    """A mistake or a circumstance that the user can do something about; the message says what, where and what to do."""

    exit_status = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe.

    where: ``file:line:column`` or the override it came from; key: the dotted path, ``""`` for the file as a whole.
    """

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class RecipeError(XaitoolError):
    """A recipe that cannot be run, with all of its problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ComponentError(XaitoolError):
    """A component name that no plugin, or more than one, answers to."""


class PluginError(XaitoolError):
    """A plugin that cannot be loaded, or that broke its contract or raised while it was used."""


class ContractError(PluginError):
    """What a plugin returned is not what its contract promises."""


class DataUnavailableError(XaitoolError):
    """The data are neither on this machine nor to be had over the network."""


class TuningError(XaitoolError):
    """The search for a learning rate gave no usable answer.

    lrs, losses: the curve as far as it went, for the caller to show.
    """

    def __init__(self, message: str, lrs: Sequence[float] = (), losses: Sequence[float] = ()) -> None:
        super().__init__(message)
        self.lrs = list(lrs)
        self.losses = list(losses)


class TrainingError(XaitoolError):
    """Training cannot go on (the loss is no longer a finite number, for example)."""


class DeviceError(XaitoolError):
    """The device or precision asked for is not there."""


class FolderError(XaitoolError):
    """A run folder cannot be made or written."""


class ExplainError(XaitoolError):
    """An explainer was asked for something it cannot give (a layer with no spatial extent, a class out of range)."""


class NoGridError(ExplainError):
    """A model, or a layer of it, has no output that is a grid over the image."""


class MetricError(XaitoolError):
    """A metric was asked for something it cannot measure (a mask or an explainer that was not given)."""


class VerdictError(XaitoolError):
    """An explainer falls short of what the recipe requires of its explanations."""

    exit_status = 3


class ImageError(XaitoolError):
    """A file that cannot be read as an image, though it is there.

    name: the file; reason: what is wrong with it, without its name.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name} cannot be read as an image: {reason}")

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return ImageError, (self.name, self.reason)  # worker processes send it by pickle


class CheckpointError(XaitoolError):
    """A file of weights that cannot be read, or whose weights are not those of the model."""


class ModelError(XaitoolError):
    """A model that cannot be made as asked, or that does not turn these images into scores of these classes."""


class ProcessError(XaitoolError):
    """The processes of one run have lost touch, as where one of them was killed."""


class LeftBehindError(ProcessError):
    """Another process of the run has met an error and tells it; this one has nothing to add."""


def of_a_worker(error: BaseException) -> DataUnavailableError | None:
    """What befell a process that loads data, where that is what an error of torch says; else None.

    torch has no class of its own for these. That a process has died it raises wherever the main one is, in the
    middle of a network's forward pass, say.
    """
    said = str(error)
    if not isinstance(error, RuntimeError):
        return None
    if said.startswith("DataLoader timed out"):
        return DataUnavailableError(
            "a process that loads data has given no batch for too long (runtime.timeout): the data set or its storage "
            "hangs; with runtime.workers=0 and Ctrl-C you see where"
        )
    if said.startswith("DataLoader worker"):
        return DataUnavailableError(
            f"a process that loads data has ended ({said.partition('.')[0]}): out of memory, or ended by what the data "
            "set calls; use fewer (runtime.workers), or 0 to see where"
        )
    return None
