"""ROAD: deletion without the giveaway of a replaced patch's outline."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Given, Scores, Subject
from xaitool_metrics.batches import evaluating, in_batches, probability
from xaitool_metrics.config import ROADConfig
from xaitool_metrics.curves import area, pixel_counts
from xaitool_metrics.imputation import impute
from xaitool_metrics.ranks import drawn, relevance_ranks
from xaitool_metrics.scoring import check, normalisation, scores, status_of


class ROAD:
    """Remove and debias (Rong et al. 2022, arXiv:2202.00449), one score an image, in [-1, 1].

    Missing pixels are imputed from their neighbours, with a little noise, so that neither the shape of what was removed
    nor an edge around it tells the model anything. The paper reports a data set's accuracy at each fraction removed;
    an image's score here is the area from the target's probability with the most relevant pixels removed first to that
    with the least relevant first: the higher, the better. With every pixel removed, the mean colour is left.
    """

    aspect: Aspect = "faithfulness"
    direction: Literal["higher", "lower", "none"] = "higher"
    range = (-1.0, 1.0)
    needs: frozenset[str] = frozenset()

    def __init__(self, config: ROADConfig) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """See :meth:`xaitool.contracts.Metric.score`.

        Its curves are ``morf`` and ``lerf``: most and least relevant pixels removed first.
        """
        check(self, images, targets, maps, given)
        ranks = relevance_ranks(maps, given)[:, None]
        pixels = maps.shape[1] * maps.shape[2]
        counts = pixel_counts(pixels, self.config.steps).to(images.device)
        noise = self._noise(subject, images, given)

        def removed(pairs: Tensor, ranks: Tensor) -> Tensor:
            some, count = pairs // len(counts), counts[pairs % len(counts)]
            missing = ranks[some] < count.view(-1, 1, 1, 1)
            imputed = impute(images[some], missing) + noise[some] * missing
            return probability(subject.module, imputed, targets[some])

        def found(ranks: Tensor) -> Tensor:
            number = len(images) * len(counts)
            values = in_batches(lambda pairs: removed(pairs, ranks), number, self.config.batch_size, like=images)
            return values.cpu().double().view(len(images), len(counts))

        with evaluating(subject.module):
            morf, lerf = found(ranks), found(pixels - 1 - ranks)
        fractions = counts.cpu().double() / pixels
        curves = {"fraction": fractions.tolist(), "morf": morf.tolist(), "lerf": lerf.tolist()}
        between = area(fractions, lerf) - area(fractions, morf)
        # By symmetry: an order at random does on the average as well from either end.
        return scores(self, between, status_of(maps), chance=torch.zeros(len(maps)), curves=curves)

    def _noise(self, subject: Subject, images: Tensor, given: Given) -> Tensor:
        _, std = normalisation(subject, images)
        shape = images.shape[1:]
        noise = drawn(given, "imputation", lambda source: torch.randn(shape, generator=source), given.ids, to=images)
        return noise * (self.config.noise / std)
