"""Scoring maps in parts, where several processes share the work: a part of the images each, and all scores for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from xaitool.contracts import Explainer, Given, Metric, Scores, Subject
from xaitool.engine.explain import CHUNK, explain
from xaitool.engine.processes import Processes
from xaitool.engine.runtime import Placement


@dataclass(frozen=True)
class Asked:
    """An explainer as metrics ask it for further maps: by themselves, for each scores a part of the images.

    first: where the part begins among all images.
    """

    explainer: Explainer
    seed: int
    runtime: Placement
    first: int = 0

    def __call__(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :attr:`xaitool.contracts.Given.explain`."""
        runtime = self.runtime.alone()
        maps = explain(self.explainer, subject, images, targets, seed=self.seed, first=self.first, runtime=runtime)
        return maps.to(runtime.device)


def score(
    metric: Metric,
    subject: Subject,
    images: Tensor,
    targets: Tensor,
    maps: Tensor,
    given: Given,
    processes: Processes,
) -> Scores:
    """What :meth:`xaitool.contracts.Metric.score` gives, where its scores do not depend on what else is scored."""
    if processes.alone:
        return metric.score(subject, images, targets, maps, given)

    def of_part(number: int) -> Scores:
        part = slice(number * CHUNK, (number + 1) * CHUNK)
        return metric.score(subject, images[part], targets[part], maps[part], _part_of(given, part))

    return _joined(processes.shared(-(-len(images) // CHUNK), of_part))


def _part_of(given: Given, part: slice) -> Given:
    asked = given.explain
    return Given(
        ids=given.ids[part],
        seed=given.seed,
        mask=None if given.mask is None else given.mask[part],
        explain=replace(asked, first=part.start) if isinstance(asked, Asked) else asked,
        native_size=given.native_size,
        memo=given.memo.setdefault(part.start, {}),
    )


def _joined(parts: Sequence[Scores]) -> Scores:
    first = parts[0]
    curves = {}
    for name, curve in first.curves.items():
        of_images = np.ndim(curve) > 1  # else it is the same for all: the fractions
        curves[name] = np.concatenate([np.asarray(each.curves[name]) for each in parts]) if of_images else curve
    return Scores(
        values=[value for each in parts for value in each.values],
        status=[word for each in parts for word in each.status],
        chance=[value for each in parts for value in each.chance],
        curves=curves,
    )
