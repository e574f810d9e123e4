"""Data: load a recipe's data set and check it at the seam."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from xaitool.contracts import DataBundle, HalfDone, Images
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam, as_class, kind
from xaitool.errors import ContractError
from xaitool.plugins import Offer
from xaitool.recipe.resolve import Resolved
from xaitool.recipe.schema import Settings

# Of images that may have given what is no number. Where more have, it is the network.
_LOOKED_AT = 500
# As many images of 64x64 pixels at a time, and fewer of larger ones, down to the least.
_MOST, _LEAST, _SMALL = 500, 8, 64 * 64


def load_data(component: Resolved, seed: int) -> DataBundle:
    """Build the data set. Raises DataUnavailableError where there is none to be had, ContractError, PluginError."""
    with kept():
        seed_all(derive(seed, "data"))
        data = Seam(component).data(component.build("data", seed=seed))
        shape, sample = tuple(data.test[0][0].shape), data.sample or data.train
        of_sample = tuple(sample[0][0].shape)  # which may not be transformed

    def own(images: Images, ids: Sequence[str], shape: tuple[int, ...] = shape) -> OwnedImages:
        return OwnedImages(images, component.offer, len(data.classes), shape, ids)

    if data.shortcut:
        with_patch, without_patch = data.shortcut.with_patch, data.shortcut.without_patch
        shortcut = replace(
            data.shortcut,
            with_patch=own(with_patch, data.test_ids),
            without_patch=own(without_patch, data.test_ids),
        )
        data = replace(data, shortcut=shortcut)
    return replace(
        data,
        train=own(data.train, data.train_ids),
        test=own(data.test, data.test_ids),
        sample=own(sample, data.train_ids, of_sample),
    )


def eval_batch_size(settings: Settings, data: DataBundle) -> int:
    """How many images to take at a time where nothing is learnt: as the recipe says, else by their size."""
    if settings.train is not None:
        return settings.train.eval_batch_size
    pixels = math.prod(data.test[0][0].shape[1:])
    return max(_LEAST, min(_MOST, _MOST * _SMALL // pixels))


def check_pixels(batches: object, indices: Iterable[int]) -> None:
    """Raise ContractError where one of these images, of a recipe's data set in a loader made here, is no image."""
    images = getattr(getattr(batches, "dataset", None), "images", None)
    if isinstance(images, OwnedImages):
        images.check_pixels(islice(indices, _LOOKED_AT))


@dataclass(frozen=True)
class OwnedImages:
    """Images of a plugin: what goes wrong in fetching them is the plugin's failure, in whichever stage it happens."""

    images: Images
    owner: Offer
    classes: int
    shape: tuple[int, ...]
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index >= len(self):  # which is how Python's own iteration over items ends
            raise IndexError(index)
        with self.owner.blamed("loading images"):
            image, label = self.images[index]
        return self._checked(index, image, label)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        with self.owner.blamed("loading images"):
            fetch = getattr(self.images, "__getitems__", None)
            items = [
                (image, label) for image, label in (fetch(indices) if fetch else map(self.images.__getitem__, indices))
            ]
        if len(items) != len(indices):
            raise self._broken(f"__getitems__ gave {len(items)} images for {len(indices)} indices")
        return [self._checked(index, *item) for index, item in zip(indices, items, strict=True)]

    def on_device(self) -> HalfDone:
        """As the device augments them. Raises ValueError where the data set cannot leave that to it."""
        on_device = getattr(self.images, "on_device", None)
        if on_device is None:
            raise ValueError(f"{self.owner.full_name} has no form of its images for that")
        return OwnedHalfDone(on_device(), self)

    def check_label(self, index: int, label: Any) -> int:
        """A label that is no class would make nonsense of a loss, or a traceback that names nothing."""
        number = as_class(label)
        if number is None or not 0 <= number < self.classes:
            raise self._broken(f"the label of {self._named(index)} is {label!r}, not in 0..{self.classes - 1}")
        return number

    def check_half_done(self, indices: Sequence[int], labels: Any) -> None:
        """The same of the labels of images that the device finishes."""
        if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (len(indices),):
            raise self._broken(f"batch gave labels as {kind(labels)}, not as a torch.int64 tensor of ({len(indices)},)")
        for index, label in zip(indices, labels.tolist(), strict=True):
            self.check_label(index, label)

    def check_pixels(self, indices: Iterable[int]) -> None:
        """To be asked once something is no number: to look at each image before it is used would cost too much."""
        for index in indices:
            if not self[index][0].isfinite().all():
                raise self._broken(f"{self._named(index)} holds NaN or infinite values")

    def _checked(self, index: int, image: Any, label: Any) -> tuple[Tensor, int]:
        if not isinstance(image, Tensor) or image.dtype != torch.float32 or image.shape != self.shape:
            shape = " x ".join(map(str, self.shape))
            raise self._broken(f"{self._named(index)} is {kind(image)}, not a torch.float32 tensor of {shape}")
        return image, self.check_label(index, label)

    def _named(self, index: int) -> str:
        return f"image {index} ({self.ids[index]})" if index < len(self.ids) else f"image {index}"

    def _broken(self, what: str) -> ContractError:
        name = self.owner.component.name
        return ContractError(f"plugin {self.owner.plugin} broke its contract: {name}: {what}")

    def labels_of(self, rows: Sequence[int]) -> list[int]:
        """Labels without their images, where the data set keeps them in an attribute ``labels``."""
        labels = getattr(self.images, "labels", None)
        return [int(labels[row] if labels is not None else self[row][1]) for row in rows]


@dataclass(frozen=True)
class OwnedHalfDone:
    """The same of what is left to the device."""

    half_done: HalfDone
    images: OwnedImages

    def __len__(self) -> int:
        return len(self.half_done)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """What the device needs of these images, and their labels."""
        with self.images.owner.blamed("loading images"):
            pixels, drawn, labels = self.half_done.batch(indices)
        self.images.check_half_done(indices, labels)
        return pixels, drawn, labels

    def finish(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """The images, normalised."""
        with self.images.owner.blamed("augmenting images on the device"):
            return self.half_done.finish(pixels, drawn)
