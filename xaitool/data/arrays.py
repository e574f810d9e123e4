"""Labelled images, in one uint8 array (in memory or mapped from disk) or decoded as they are asked for; by batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xaitool.data.batched import BATCHED, BatchedPipeline, at_the_end
from xaitool.data.pictures import Pictures
from xaitool.data.transforms import Step, compose, rehearse

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ImageArray:
    """A map-style data set (:class:`xaitool.contracts.Images`) over uint8 images.

    images: an N×H×W×3 array; or the path of a ``.npy`` file that holds it (mapped, not read; then only the path travels
        to worker processes); or :class:`~xaitool.data.pictures.Pictures`, which may differ in size as long as the
        pipeline makes them of one. rows: which of the images, in which order; left out: all.
    labels: an int for each of these. mean, std: per channel, for pixel values in [0, 1].
    steps: a checked Albumentations pipeline (:data:`xaitool.data.pipeline.Pipeline`), applied to the uint8 image before
        normalisation. It is seeded once a batch from torch's global generator, so equal seeds give equal batches.
    fixed: what is random in the pipeline comes out the same for an image every time, as test images need it.
    painted: (index of the item, its H×W×3 pixels) -> the pixels to use in their place, before the pipeline; what it is
        given is not to be written to.
    """

    def __init__(
        self,
        images: NDArray[np.uint8] | Path | Pictures,
        labels: NDArray[np.int64],
        mean: Sequence[float],
        std: Sequence[float],
        steps: Sequence[Step] = (),
        rows: NDArray[np.int64] | None = None,
        fixed: bool = False,
        painted: Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> None:
        self._path = images if isinstance(images, Path) else None
        self._images: Any = np.load(images, mmap_mode="r") if isinstance(images, Path) else images
        self._rows = np.arange(len(self._images)) if rows is None else rows
        self.labels = labels
        self._steps = steps
        self._fixed = fixed
        self._painted = painted
        self._pipeline = compose(steps) if steps else None
        # One multiply and one add a value: (x / 255 - mean) / std.
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(3, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(3, 1, 1)
        self._size()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """A whole batch: one seeding, one normalisation."""
        normalised = self.normalised(torch.from_numpy(self.stacked(indices)))
        return [(image, int(self.labels[i])) for image, i in zip(normalised, indices, strict=True)]

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 N×H×W×3, on any device, in; float32 N×3×H×W out."""
        scale, shift = (each.to(pixels.device, non_blocking=True) for each in (self._scale, self._shift))
        return pixels.permute(0, 3, 1, 2).float().mul_(scale).add_(shift)

    def on_device(self) -> HalfDone:
        """The same images, the last of whose transforms are left to the device, whole batches at once.

        Raises ValueError where the pipeline does not end in transforms that have a form for that.
        """
        count = 0 if self._fixed else at_the_end(self._steps)
        for first in range(len(self._steps) - count, len(self._steps)):
            before = self._with(self._steps[:first])
            try:
                size = before._size()
            except ValueError:  # it takes more of the transforms to bring the images to one size
                continue
            return HalfDone(before, BatchedPipeline.of(self._steps[first:], *size))
        raise ValueError(f"whole batches can go through {', '.join(BATCHED)}, and the pipeline does not end in these")

    def _with(self, steps: Sequence[Step]) -> ImageArray:
        """The same images through another pipeline."""
        other = copy.copy(self)
        other._steps = steps
        other._pipeline = compose(steps) if steps else None
        return other

    def _size(self) -> tuple[int, int]:
        """Height and width of what comes out. Raises ValueError where that is not one size."""
        sizes = _sizes(self._images)
        if self._pipeline is not None:
            return rehearse(self._pipeline, *sizes)
        if len(sizes) > 1:
            raise ValueError("the images differ in size, and no transform brings them to one")
        return sizes[0]

    def stacked(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Images as they are before normalisation: uint8 N×H×W×3."""
        if self._painted is None and self._pipeline is None and isinstance(self._images, np.ndarray):
            return self._images[self._rows[list(indices)]]
        return np.stack(self.pixels(indices))

    def pixels(self, indices: Sequence[int]) -> list[Any]:
        """Images as they are before normalisation: uint8, H×W×3."""
        pixels = [self._images[self._rows[i]] for i in indices]
        if self._painted is not None:
            pixels = [self._painted(i, image) for i, image in zip(indices, pixels, strict=True)]
        if self._pipeline is not None:
            pixels = self._transformed(self._pipeline, pixels, indices)
        return pixels

    def _transformed(self, pipeline: Any, pixels: list[Any], indices: Sequence[int]) -> list[Any]:
        if not self._fixed:
            pipeline.set_random_seed(int(torch.randint(2**31, ())))
            return [pipeline(image=image)["image"] for image in pixels]
        found = []
        for image, index in zip(pixels, indices, strict=True):
            pipeline.set_random_seed(index)
            found.append(pipeline(image=image)["image"])
        return found

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        # Built anew where it is unpickled: to unpickle it would import Albumentations, which then asks the network
        # for a newer version of itself.
        del state["_pipeline"]
        if self._path is not None:  # a mapped array would be pickled as a copy of the whole file
            del state["_images"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pipeline = compose(self._steps) if self._steps else None
        if self._path is not None:
            self._images = np.load(self._path, mmap_mode="r")


def _sizes(images: Any) -> list[tuple[int, int]]:
    """Height and width of the images; where they differ, of the extremes."""
    return [images.shape[1:3]] if isinstance(images, np.ndarray) else images.extremes()


class HalfDone:
    """Images (:class:`xaitool.contracts.HalfDone`) the last of whose transforms whole batches go through at once."""

    def __init__(self, images: ImageArray, last: BatchedPipeline) -> None:
        self._images = images
        self._last = last
        self.labels = images.labels

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 pixels N×H×W×3, what is drawn for the last transforms, N×K int64, and labels, N int64."""
        pixels = torch.from_numpy(self._images.stacked(indices))
        labels = torch.from_numpy(self.labels[list(indices)].astype(np.int64))
        return pixels, self._last.draw(len(indices)), labels

    def finish(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """Both on one device, in; float32 N×3×H'×W', normalised, out."""
        return self._images.normalised(self._last.apply(pixels, drawn))


class MaskArray:
    """Masks (:class:`xaitool.contracts.Masks`), N×H×W bool, of fixed :class:`ImageArray` images, transformed alike."""

    def __init__(self, masks: NDArray[np.bool_], steps: Sequence[Step] = ()) -> None:
        self._masks = masks
        self._steps = steps
        self._pipeline = compose(steps) if steps else None

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, index: int) -> Tensor:
        mask = self._masks[index]
        if self._pipeline is not None:
            self._pipeline.set_random_seed(index)  # as ImageArray does for fixed images
            blank: NDArray[np.uint8] = np.zeros((*mask.shape, 3), np.uint8)
            mask = self._pipeline(image=blank, mask=mask.astype(np.uint8))["mask"] > 0
        return torch.from_numpy(np.array(mask))

    def __getstate__(self) -> dict[str, Any]:
        return {"masks": self._masks, "steps": self._steps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def class_balanced(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Indices, sorted, of `count` samples drawn with `seed`, of each class as nearly the same number as there can be.

    A class that runs out gives all it has, and the others make up for it. Raises ValueError where there are too few.
    """
    if count > len(labels):
        raise ValueError(f"asks for {count} images of {len(labels)}")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    # The rank of each sample among those of its class, in the drawn order: taking the lowest ranks deals the classes
    # out in turn.
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = np.arange(len(members))
    dealt = order[np.argsort(ranks[order], kind="stable")]
    return np.sort(dealt[:count])
