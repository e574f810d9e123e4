"""Did the model learn the planted shortcut, and do the explainers show it?

First causally: what becomes of an image's class when nothing but the patch is put on it. Then by explanation: how much
of a map's evidence lies on the patch. The first is the truth that the second is held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xaitool.contracts import Explainer, Images, Shortcut
from xaitool.engine.data import eval_batch_size
from xaitool.engine.evaluate import Evaluation, evaluate
from xaitool.engine.explain import explain, gather
from xaitool.engine.progress import Display
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime
from xaitool.errors import DataUnavailableError
from xaitool.judge.intervals import interval
from xaitool.judge.shortcut import Effect, Finding, Pair, Pointing
from xaitool.recipe.schema import Settings

if TYPE_CHECKING:
    from xaitool.engine.explaining import Trained

# Maps of so many images are enough to tell.
_EXPLAINED = 300


def effect_of(target: int, labels: Tensor, without: Tensor, with_patch: Tensor, seed: int) -> Effect:
    """What the patch does, from the predictions for the same images without it and with it (all N int64)."""
    own, others = labels == target, labels != target

    def share(of: Tensor, images: Tensor) -> float:
        return float(of[images].double().mean())

    def accuracy(images: Tensor) -> Pair:
        return Pair(share(without == labels, images), share(with_patch == labels, images))

    before, after = without == target, with_patch == target
    return Effect(
        accuracy=accuracy(torch.ones_like(own)),
        own=accuracy(own),
        others=accuracy(others),
        taken=Pair(share(before, others), share(after, others)),
        rise=interval((after.double() - before.double())[others].numpy(), seed),
        gain=interval((after.double() - before.double())[own].numpy(), seed),
    )


def pointing_of(maps: Tensor, masks: Tensor, seed: int) -> Pointing:
    """How much of maps (N×H×W float32) lies on the patch (N×H×W bool). Images without any of it are left out."""
    there = masks.flatten(1).any(1)
    maps, masks = maps[there].double(), masks[there]
    positive = maps.clamp(min=0)
    # 0 / 0 where nothing speaks for the class, which is no share.
    share = (positive * masks).sum((1, 2)) / positive.sum((1, 2))
    chance = masks.double().mean((1, 2))
    return Pointing(interval(share.numpy(), seed), float(chance.mean()), interval((share / chance).numpy(), seed))


def measure_shortcut(
    trained: Trained,
    explainers: Mapping[str, Explainer],
    settings: Settings,
    *,
    seed: int,
    runtime: Runtime,
    display: Display,
) -> Finding:
    """What came of the shortcut in a model's data, told by its predictions and by each explainer's maps.

    The maps are of test images that have the patch, at most 300, drawn with the seed; the class to explain is the
    shortcut's. Raises DataUnavailableError where the data have none.
    """
    data = trained.data
    shortcut = data.shortcut
    if shortcut is None:
        raise DataUnavailableError("the data have no planted shortcut to look for")

    def tested(images: Images) -> Evaluation:
        batches = runtime.loader(images, eval_batch_size(settings, data), shuffle=False, keep_workers=False)
        return evaluate(trained.model.module, batches, runtime=runtime, display=display)

    without, with_patch = tested(shortcut.without_patch), tested(shortcut.with_patch)
    effect = effect_of(
        shortcut.target, without.labels, without.predicted, with_patch.predicted, derive(seed, "shortcut", "effect")
    )

    rows = _rows_to_explain(shortcut, derive(seed, "shortcut", "rows"))
    images = gather(shortcut.with_patch, rows)
    masks = torch.stack([shortcut.masks[row] for row in rows.tolist()]) if len(rows) else torch.zeros(0, 1, 1).bool()
    pointing = {}
    for label, explainer in explainers.items():
        maps = explain(
            explainer,
            trained.subject,
            images,
            torch.full((len(rows),), shortcut.target),
            seed=seed,
            label=f"{label} for the patch",
            runtime=runtime,
            display=display,
        )
        pointing[label] = pointing_of(maps, masks, derive(seed, "shortcut", "maps"))
    return Finding(shortcut.name, shortcut.strength, effect, pointing)


def _rows_to_explain(shortcut: Shortcut, seed: int) -> Tensor:
    """Rows of test images that have the patch, sorted."""
    rows = torch.tensor(shortcut.present, dtype=torch.bool).nonzero()[:, 0]
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_EXPLAINED]
    return rows[drawn].sort().values
