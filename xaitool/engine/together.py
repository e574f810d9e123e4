"""Explaining together: explainers that can share their work on the same images are asked for all of it at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from torch import Tensor

from xaitool.contracts import Explainer, Sharing, Subject
from xaitool.engine.explain import explain_questions
from xaitool.engine.progress import Display
from xaitool.engine.runtime import Placement


def groups(explainers: Mapping[str, Explainer], subject: Subject) -> list[dict[str, Sharing]]:
    """The explainers that share, by label, with those whose key is the same."""
    found: dict[Hashable, dict[str, Sharing]] = {}
    for label, explainer in explainers.items():
        if isinstance(explainer, Sharing) and (key := explainer.sharing(subject)) is not None:
            found.setdefault(key, {})[label] = explainer
    return list(found.values())


def explain_group(
    group: Mapping[str, Sharing],
    subject: Subject,
    images: Tensor,
    targets: Mapping[str, Tensor],
    *,
    seed: int,
    runtime: Placement,
    display: Display | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Maps (N×H×W float32, on the CPU) by label and target, from explainers of one group.

    Whatever one of them raises is raised on: then each has to be asked by itself.
    """
    asked = [(label, target) for label in group for target in targets]
    maps = explain_questions(
        next(iter(group.values())),
        subject,
        images,
        [(group[label], targets[target]) for label, target in asked],
        seed=seed,
        label=" and ".join(group) if len(group) < 3 else f"{len(group)} explainers together",
        runtime=runtime,
        display=display,
    )
    found: dict[str, dict[str, Tensor]] = {label: {} for label in group}
    for (label, target), each in zip(asked, maps, strict=True):
        found[label][target] = each
    return found
