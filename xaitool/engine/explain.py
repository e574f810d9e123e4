"""Explain: maps of the selected images, by every explainer and for every target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xaitool.contracts import Explainer, Images, Sharing, Subject
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.runtime import Placement, open_runtime
from xaitool.errors import ContractError, ExplainError
from xaitool.files import filename
from xaitool.suggest import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Words for targets that differ from image to image; anything else is a class.
RELATIVE_TARGETS = ("predicted", "true", "runner_up")

# Images explained at a time: always as many, so that an explainer that draws at random draws the same for an image at
# the same place, whatever the model and however many images come after it.
CHUNK = 32


@dataclass(frozen=True)
class Explained:
    """Maps of the selected images.

    rows: their rows in the test set, N. images: N×C×H×W, normalised. maps: by explainer's label and target,
    N×H×W float32 arrays. failed: what went wrong with the explainers that gave no maps, by label.
    """

    rows: Tensor
    images: Tensor
    maps: dict[str, dict[str, NDArray[np.float32]]]
    failed: dict[str, str] = field(default_factory=dict)


def gather(images: Images, rows: Tensor) -> Tensor:
    """Rows of a data set as one N×C×H×W tensor."""
    if len(rows) == 0:
        return torch.zeros(0, *images[0][0].shape)
    return torch.stack([images[row][0] for row in rows.tolist()])


def check_targets(targets: Sequence[str], classes: Sequence[str]) -> None:
    """Raise ExplainError for a target that is neither a word for one nor a class, or that would overwrite another."""
    files = [filename(target).casefold() for target in targets]
    for target, file in zip(targets, files, strict=True):
        if files.count(file) > 1:
            raise ExplainError(f"explain.targets: '{target}' is there twice, or differs from another only in case")
    for target in targets:
        if target not in RELATIVE_TARGETS and target not in classes:
            known = (*RELATIVE_TARGETS, *classes)
            hint = did_you_mean(target, known) or f"; there are {', '.join(known[:20])}"
            raise ExplainError(f"explain.targets: '{target}' is neither a target nor a class{hint}")


def targets_of(target: str, evaluation: Evaluation, rows: Tensor, classes: Sequence[str]) -> Tensor:
    """The classes (N int64) that a target means for some rows of the test set."""
    match target:
        case "predicted":
            return evaluation.predicted[rows]
        case "true":
            return evaluation.labels[rows]
        case "runner_up":
            return evaluation.runner_up[rows]
        case _:
            return torch.full((len(rows),), list(classes).index(target), dtype=torch.int64)


def explain(
    explainer: Explainer,
    subject: Subject,
    images: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    first: int = 0,
    label: str = "explaining",
    runtime: Placement | None = None,
    display: Display | None = None,
) -> Tensor:
    """Saliency maps (N×H×W float32, on the CPU) of images (N×C×H×W) for target classes (N int64).

    The module is moved to the runtime's device and comes back in the state it was in. What the explainer draws at
    random follows from the seed and from where an image stands among the images. first: where the first one stands, a
    multiple of :data:`CHUNK`, if these are some of more. Of several processes each explains its part, and all have all.
    Raises ExplainError.
    """
    if len(targets) != len(images):
        raise ExplainError(f"{len(images)} images need as many targets, but there are {len(targets)}")

    def ask(some: Tensor, classes: list[Tensor]) -> list[Tensor]:
        return [explainer.explain(subject, some, classes[0])]

    return _in_chunks(ask, subject, images, [targets], seed, label, runtime, display or Silent(), first)[0]


def explain_questions(
    explainer: Sharing,
    subject: Subject,
    images: Tensor,
    questions: Sequence[tuple[Explainer, Tensor]],
    *,
    seed: int = 0,
    label: str = "explaining",
    runtime: Placement | None = None,
    display: Display | None = None,
) -> list[Tensor]:
    """Maps as :func:`explain` gives them for each of some questions, asked of one explainer that shares with all."""

    def ask(some: Tensor, classes: list[Tensor]) -> Sequence[Tensor]:
        return explainer.explain_together(
            subject, some, [(each, of) for (each, _), of in zip(questions, classes, strict=True)]
        )

    return _in_chunks(ask, subject, images, [of for _, of in questions], seed, label, runtime, display or Silent())


def _in_chunks(
    ask: Callable[[Tensor, list[Tensor]], Sequence[Tensor]],
    subject: Subject,
    images: Tensor,
    targets: Sequence[Tensor],
    seed: int,
    label: str,
    runtime: Placement | None,
    display: Display,
    first: int = 0,
) -> list[Tensor]:
    """What `ask` gives for some images at a time and their classes, one tensor for each of the sets of targets."""
    where: AbstractContextManager[Placement] = nullcontext(runtime) if runtime else open_runtime()
    with where as place, kept(), display.bar(label, len(images)) as bar:
        place.place(subject.module)
        chunks = images.split(CHUNK) if len(images) else ()

        def maps_of(number: int) -> list[Tensor]:
            part = slice(number * CHUNK, (number + 1) * CHUNK)
            seed_all(derive(seed, "explain", first // CHUNK + number))
            found = ask(place.to_device(chunks[number]), [each[part].to(place.device) for each in targets])
            if len(found) != len(targets):
                raise ContractError(f"explain_together gave {len(found)} sets of maps for {len(targets)} questions")
            bar(len(chunks[number]) * place.processes.count)
            return [answer.detach().cpu() for answer in found]

        maps = place.processes.shared(len(chunks), maps_of)
    return [torch.cat(each) for each in zip(*maps, strict=True)] or [torch.zeros(0, *images.shape[2:]) for _ in targets]
