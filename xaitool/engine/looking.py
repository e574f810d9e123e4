"""What explainers look at: the layers in use, and what to say of one whose grid is too coarse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from xaitool.contracts import Adjustable, Explainer, Subject
from xaitool.judge.judge import native_size
from xaitool.layers import Layer, coarse_words, grids_of


def layers_in_use(explainers: Mapping[str, Explainer], subject: Subject, images: Tensor) -> dict[str, str]:
    """The layer that each explainer that looks at one looks at, and its grid for these images: ``layer4 (7x7)``.

    images: N×C×H×W, where the model is. Raises NoGridError for an explainer that finds none to look at.
    """
    found = {}
    for label, explainer in explainers.items():
        if isinstance(explainer, Adjustable):
            current = explainer.current(subject)
            height, width = native_size(explainer, subject, images[:1])
            found[label] = f"{current} ({height}x{width})"
    return found


def coarse_grids(
    explainers: Mapping[str, Explainer], subject: Subject, images: Tensor, layers: Iterable[Layer]
) -> list[str]:
    """What to say of the explainers that look at a layer of less than 4×4, unless the layer is still to be chosen.

    images: N×C×H×W, where the model is. layers: those to choose from, from input to output.
    """
    known, told = list(layers)[::-1], []
    for label, explainer in explainers.items():
        if isinstance(explainer, Adjustable) and not explainer.automatic and subject.cam_layers:
            used = grids_of(subject.module, images, explainer.current(subject).split("+"))
            words = coarse_words(max(used, key=lambda each: each.grid.cells), known) if used else None
            if words:
                told.append(f"{label}: {words}")
    return told
