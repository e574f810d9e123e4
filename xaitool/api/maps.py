"""Maps of the same images by several explainers: those that can share their work do, and each is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from xaitool.contracts import Explainer, Subject
from xaitool.engine.explain import explain
from xaitool.engine.guard import Guard
from xaitool.engine.progress import log
from xaitool.engine.runtime import Placement
from xaitool.engine.seams import Seam
from xaitool.engine.together import explain_group, groups
from xaitool.errors import ContractError, XaitoolError
from xaitool.recipe.resolve import Resolved

Maps = dict[str, Tensor]


def maps_by_method(
    components: Mapping[str, Resolved],
    explainers: Mapping[str, Explainer],
    subject: Subject,
    images: Tensor,
    targets: Tensor,
    *,
    seed: int,
    place: Placement,
) -> Maps:
    """Every explainer's maps (N×H×W float32, on the CPU) by label, checked; from as few forward passes as they can.

    What one leaves changed in the model is an error. Raises ContractError or PluginError in the plugin's name, and puts
    the model back.
    """
    asked = _Asked(subject, images, targets, seed, place, Guard(subject.module))
    try:
        found = _together(components, explainers, asked)
        for label, component in components.items():
            if label not in found:
                found[label] = _alone(component, explainers[label], asked)
    finally:
        asked.guard.restore()
    return {label: found[label] for label in components}


@dataclass(frozen=True)
class _Asked:
    """What every explainer is asked for, and what the model was before it was asked."""

    subject: Subject
    images: Tensor
    targets: Tensor
    seed: int
    place: Placement
    guard: Guard


def _together(components: Mapping[str, Resolved], explainers: Mapping[str, Explainer], asked: _Asked) -> Maps:
    """Maps of all explainers that share their work, where it goes well.

    Where it does not, or leaves the model or torch changed, none of them: each is then asked by itself, and is itself
    to blame for what it does.
    """
    found: Maps = {}
    targets = {"": asked.targets}
    for group in groups(explainers, asked.subject):
        if len(group) == 1:
            continue
        try:
            with components[next(iter(group))].offer.blamed("explain"):
                maps = explain_group(group, asked.subject, asked.images, targets, seed=asked.seed, runtime=asked.place)
            if changes := asked.guard.changes():
                raise ContractError(f"leaves the model or torch changed ({', '.join(changes)})")
            found |= {label: Seam(components[label]).maps(each[""], asked.images) for label, each in maps.items()}
        except XaitoolError:
            asked.guard.restore()
            log.debug("%s: explained one by one, as together it failed", " and ".join(group), exc_info=True)
    return found


def _alone(component: Resolved, explainer: Explainer, asked: _Asked) -> Tensor:
    with component.offer.blamed("explain"):
        found = explain(explainer, asked.subject, asked.images, asked.targets, seed=asked.seed, runtime=asked.place)
    if changes := ", ".join(asked.guard.changes()):
        raise ContractError(f"plugin {component.offer.plugin} left the model changed ({changes}); it was put back")
    return Seam(component).maps(found, asked.images)
