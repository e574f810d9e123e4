"""Data: load a recipe's data set and check it at the seam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from xaitool.contracts import DataBundle, Images
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam
from xaitool.plugins import Offer
from xaitool.recipe.resolve import Resolved
from xaitool.recipe.schema import Settings

# As many images of 64x64 pixels at a time, and fewer of larger ones, down to the least.
_MOST, _LEAST, _SMALL = 500, 8, 64 * 64


def load_data(component: Resolved, seed: int) -> DataBundle:
    """Build the data set. Raises DataUnavailableError where there is none to be had, ContractError, PluginError."""
    with kept():
        seed_all(derive(seed, "data"))
        data = Seam(component).data(component.build("data", seed=seed))
    if data.shortcut:
        with_patch, without_patch = data.shortcut.with_patch, data.shortcut.without_patch
        shortcut = replace(
            data.shortcut,
            with_patch=OwnedImages(with_patch, component.offer),
            without_patch=OwnedImages(without_patch, component.offer),
        )
        data = replace(data, shortcut=shortcut)
    return replace(
        data,
        train=OwnedImages(data.train, component.offer),
        test=OwnedImages(data.test, component.offer),
        sample=OwnedImages(data.sample or data.train, component.offer),
    )


def eval_batch_size(settings: Settings, data: DataBundle) -> int:
    """How many images to take at a time where nothing is learnt: as the recipe says, else by their size."""
    if settings.train is not None:
        return settings.train.eval_batch_size
    pixels = math.prod(data.test[0][0].shape[1:])
    return max(_LEAST, min(_MOST, _MOST * _SMALL // pixels))


@dataclass(frozen=True)
class OwnedImages:
    """Images of a plugin: what goes wrong in fetching them is the plugin's failure, in whichever stage it happens."""

    images: Images
    owner: Offer

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index >= len(self):  # which is how Python's own iteration over items ends
            raise IndexError(index)
        with self.owner.blamed("loading images"):
            return self.images[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        with self.owner.blamed("loading images"):
            fetch = getattr(self.images, "__getitems__", None)
            return fetch(indices) if fetch else [self.images[index] for index in indices]

    def labels_of(self, rows: Sequence[int]) -> list[int]:
        """Labels without their images, where the data set keeps them in an attribute ``labels``."""
        labels = getattr(self.images, "labels", None)
        return [int(labels[row] if labels is not None else self[row][1]) for row in rows]
