"""Small metrics that keep the whole contract, one of each aspect: what the wrong ones are made from."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from xaitool import config
from xaitool.borrow import borrowed
from xaitool.contracts import Given, Scores, Subject
from xaitool.engine.randomness import derive
from xaitool.errors import MetricError

NAN = math.nan


class Config(config.Config):
    """No options."""


class Rule:
    """A score image by image; None where a map is constant."""

    aspect, direction, range, needs = "localisation", "higher", (0.0, 1.0), frozenset[str]()

    def __init__(self, config: Config) -> None:
        self.config = config

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        for need, thing in (("mask", given.mask), ("explainer", given.explain)):
            if need in self.needs and thing is None:
                raise MetricError(f"needs the {need}")
        values = []
        with torch.inference_mode(False), borrowed(subject.module) as module, torch.no_grad():
            module.eval()
            for row in range(len(maps)):
                given_one = self.given_one(given, row)
                constant = bool(maps[row].max() == maps[row].min())
                values.append(None if constant else self.one(subject, images[row], targets[row], maps[row], given_one))
        return self.scores(values)

    def given_one(self, given: Given, row: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(derive(given.seed, type(self).__name__, given.ids[row]))
        mask = None if given.mask is None else given.mask[row]
        return {"mask": mask, "explain": given.explain, "generator": generator}

    def scores(self, values: list[float | None]) -> Scores:
        return Scores(
            [NAN if value is None else float(value) for value in values],
            ["constant map" if value is None else "ok" for value in values],
        )

    def one(self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]) -> float:
        raise NotImplementedError


class MassInMask(Rule):
    """How much of what speaks for the target lies on the object."""

    needs = frozenset({"mask"})

    def one(self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]) -> float:
        mass = saliency.double() - saliency.min()
        return min(1.0, float(mass[given["mask"]].sum() / mass.sum()))


class Deletion(Rule):
    """The target's softmax without the highest eighth of the pixels; ties in random order."""

    aspect, direction = "faithfulness", "lower"

    def one(self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]) -> float:
        shuffled = torch.randperm(saliency.numel(), generator=given["generator"])
        ranks = shuffled[saliency.flatten()[shuffled].argsort(descending=True, stable=True)]
        image = image.clone()
        image.flatten(1)[:, ranks[: len(ranks) // 8]] = 0
        return float(subject.module(image[None]).softmax(1)[0, target])


class Randomisation(Rule):
    """The correlation with the map of the same network with random weights."""

    aspect, direction, range, needs = "model", "lower", (-1.0, 1.0), frozenset({"explainer"})

    def one(
        self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]
    ) -> float | None:
        twin = copy.deepcopy(subject.module)
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(1 << 30, (), generator=given["generator"])))
            for part in twin.modules():
                if hasattr(part, "reset_parameters"):
                    part.reset_parameters()
        other = given["explain"](Subject(twin, subject.cam_layers), image[None], target[None])[0]
        found = float(torch.corrcoef(torch.stack([saliency.flatten(), other.flatten()]))[0, 1])
        return None if math.isnan(found) else min(1.0, max(-1.0, found))


class Jitter(Rule):
    """How far the map moves, relative to its length, where the image does a little."""

    aspect, direction, range, needs = "stability", "lower", (0.0, math.inf), frozenset({"explainer"})

    def one(self, subject: Subject, image: Tensor, target: Tensor, saliency: Tensor, given: dict[str, Any]) -> float:
        noise = 0.01 * torch.randn(image.shape, generator=given["generator"])
        moved = given["explain"](subject, (image + noise)[None], target[None])[0]
        return float((moved - saliency).norm() / saliency.norm())


class Gini(Rule):
    """How unevenly the map is spread; that of a constant map is 0, and no map at all has none."""

    aspect = "complexity"

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> Scores:
        ordered = maps.abs().flatten(1).double().sort(1).values
        ranks = torch.arange(1, ordered.shape[1] + 1)
        total = ordered.sum(1)
        gini = ((2 * ranks - ordered.shape[1] - 1) * ordered).sum(1) / (ordered.shape[1] * total)
        return self.scores([max(0.0, value) if value == value else None for value in gini.tolist()])


class Entropy(Gini):
    """The same number, of which neither more nor less is better."""

    direction = "none"
