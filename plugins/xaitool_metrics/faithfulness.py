"""Deletion, insertion and ABPC: does the model's decision rest on the pixels that the map calls relevant?"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.config import CurveConfig
from xaitool_metrics.curves import area, curve
from xaitool_metrics.scoring import check, scores, status_of


class _OneCurve:
    """What deletion and insertion share: the area under one curve, a mean probability in [0, 1]."""

    aspect: Aspect = "faithfulness"
    direction: Literal["higher", "lower", "none"]
    range = (0.0, 1.0)
    needs: frozenset[str] = frozenset()
    name: Literal["deletion", "insertion"]

    def __init__(self, config: CurveConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`."""
        check(self, images, targets, maps, given)
        fractions, found = curve(self.name, self.config, subject, images, targets, maps, given)
        curves = {"fraction": fractions.tolist(), self.name: found.tolist()}
        return scores(self, area(fractions, found), status_of(maps), curves=curves)


class Deletion(_OneCurve):
    """Area under the deletion curve (Petsiuk et al. 2018, arXiv:1806.07421), a mean probability in [0, 1].

    The most relevant pixels are replaced first: the lower, the better.
    """

    name = "deletion"
    direction = "lower"


class Insertion(_OneCurve):
    """Area under the insertion curve (Petsiuk et al. 2018, arXiv:1806.07421), a mean probability in [0, 1].

    The most relevant pixels are put into the baseline image first: the higher, the better.
    """

    name = "insertion"
    direction = "higher"


class ABPC:
    """Area between the perturbation curves, in [-1, 1] (Samek et al. 2017, arXiv:1509.06321; Blücher et al. 2024,
    arXiv:2401.06654).

    From the curve of deletion with the least relevant pixels first, which is the insertion curve read from right to
    left, to that with the most relevant first: the higher, the better; 0 for an order that knows nothing. It does not
    depend, as either curve alone does, on how much the model believes in the baseline.
    """

    aspect: Aspect = "faithfulness"
    direction: Literal["higher", "lower", "none"] = "higher"
    range = (-1.0, 1.0)
    needs: frozenset[str] = frozenset()

    def __init__(self, config: CurveConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`."""
        check(self, images, targets, maps, given)
        fractions, deletion = curve("deletion", self.config, subject, images, targets, maps, given)
        _, insertion = curve("insertion", self.config, subject, images, targets, maps, given)
        between = area(fractions, insertion) - area(fractions, deletion)
        curves = {"fraction": fractions.tolist(), "deletion": deletion.tolist(), "insertion": insertion.tolist()}
        # By symmetry: an order at random does on the average as well from either end.
        return scores(self, between, status_of(maps), chance=torch.zeros(len(maps)), curves=curves)
