"""Those of Albumentations' transforms that whole batches can go through at once, on whatever device they are.

The same transforms in distribution, not draw by draw: what is random is drawn on the CPU, as one row of integers an
image, so that the device has no say in it; the pixels are then moved by plain indexing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from xaitool.data.transforms import Step, build

# numpy's names for OpenCV's ways to go on beyond a border; 0 is a constant.
_BEYOND = {1: "edge", 2: "symmetric", 3: "wrap", 4: "reflect"}
# A draw of a whole number below n is floor(u n), with u of double precision.
_UNIFORM = torch.float64


class _Batched(Protocol):
    """One transform."""

    @property
    def columns(self) -> int:
        """How many numbers it draws for an image."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Of what it makes of images of this size. Raises ValueError where it cannot be applied to them."""

    def draw(self, uniform: Tensor, height: int, width: int) -> Tensor:
        """N×columns uniform numbers in [0, 1) -> the integers (int64) that say what is done to images of this size."""

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """uint8 N×H×W×C in and out, on the device of both."""


@dataclass(frozen=True)
class _Pad:
    """Borders all around: a map from each row and column to the one whose pixels it gets; -1: the fill."""

    transform: Any
    borders: Callable[[Any, int, int], tuple[int, int, int, int]]
    columns: int = 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        top, bottom, left, right = self.borders(self.transform, height, width)
        return height + top + bottom, width + left + right

    def draw(self, uniform: Tensor, height: int, width: int) -> Tensor:
        return uniform.long()

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        height, width = images.shape[1:3]
        top, bottom, left, right = self.borders(self.transform, height, width)
        rows, columns = (
            _beside(images, self._source(length, *ends))
            for length, ends in ((height, (top, bottom)), (width, (left, right)))
        )
        padded = _picked(images, rows.clamp(min=0)[None], columns.clamp(min=0)[None])
        if self.transform.border_mode == 0:
            outside = (rows < 0)[:, None] | (columns < 0)
            padded = torch.where(outside[..., None], _colour(self.transform.fill, images), padded)
        return padded

    def _source(self, length: int, before: int, after: int) -> Any:
        if self.transform.border_mode == 0:
            return np.pad(np.arange(length), (before, after), constant_values=-1)
        return np.pad(np.arange(length), (before, after), _BEYOND[self.transform.border_mode])  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Crop:
    """A window of one size, anywhere in the image or in its middle."""

    transform: Any
    anywhere: bool

    @property
    def columns(self) -> int:
        return 2 if self.anywhere else 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        if height < self.transform.height or width < self.transform.width:
            raise ValueError(f"a crop of {self.transform.height}x{self.transform.width} from {height}x{width}")
        return self.transform.height, self.transform.width

    def draw(self, uniform: Tensor, height: int, width: int) -> Tensor:
        places = torch.tensor([height - self.transform.height + 1, width - self.transform.width + 1])[: self.columns]
        return (uniform * places).long()

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        height, width = self.transform.height, self.transform.width
        if not self.anywhere:
            top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
            return images[:, top : top + height, left : left + width]
        rows = drawn[:, :1] + torch.arange(height, device=images.device)
        columns = drawn[:, 1:] + torch.arange(width, device=images.device)
        return _picked(images, rows, columns)


@dataclass(frozen=True)
class _Flip:
    """Mirrored with a probability. axis: 1 top to bottom, 2 left to right."""

    transform: Any
    axis: int
    columns: int = 1

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def draw(self, uniform: Tensor, height: int, width: int) -> Tensor:
        return (uniform < float(self.transform.p)).long()

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        return torch.where(drawn.view(-1, 1, 1, 1).bool(), images.flip(self.axis), images)


@dataclass(frozen=True)
class _Dropout:
    """Rectangles filled with a colour. Drawn: whether and how many, and of each top, bottom, left and right (nothing in
    between where there are fewer).
    """

    transform: Any

    @property
    def columns(self) -> int:
        return 2 + 4 * int(self.transform.num_holes_range[1])

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def draw(self, uniform: Tensor, height: int, width: int) -> Tensor:
        fewest, most = self.transform.num_holes_range
        applied, number, rest = uniform[:, 0], uniform[:, 1], uniform[:, 2:].view(len(uniform), most, 4)
        holes = (fewest + (number * (most - fewest + 1)).long()) * (applied < self.transform.p)
        there = torch.arange(most) < holes[:, None]
        drawn = torch.zeros(len(uniform), most, 4, dtype=torch.int64)
        # The library takes both ranges as it takes that of the height: as pixels, or as parts of the image.
        pixels = self.transform.hole_height_range[1] >= 1
        sides = ((0, height, self.transform.hole_height_range), (2, width, self.transform.hole_width_range))
        for side, whole, (low, high) in sides:
            if pixels:
                low, high = int(low), int(min(high, whole))
                long = low + (rest[:, :, side] * (high - low + 1)).long()
            else:
                long = ((low + rest[:, :, side] * (high - low)) * whole).long()
            first = (rest[:, :, side + 1] * (whole - long + 1)).long()
            drawn[:, :, side], drawn[:, :, side + 1] = first, first + long * there
        return torch.cat([(holes > 0).long()[:, None], holes[:, None], drawn.flatten(1)], 1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        top, bottom, left, right = drawn[:, 2:].view(len(images), -1, 4, 1).unbind(2)
        rows = torch.arange(images.shape[1], device=images.device)
        columns = torch.arange(images.shape[2], device=images.device)
        in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
        holes = (in_rows[:, :, :, None] & in_columns[:, :, None, :]).any(1)
        if images.device.type == "cpu":  # twice as fast here; a GPU would have to count the holes' pixels first
            return images.index_put((holes,), _colour(self.transform.fill, images))
        return torch.where(holes[..., None], _colour(self.transform.fill, images), images)


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of each image the pixels in these rows and columns, N×h and N×w (or 1×h and 1×w: the same of all).

    By one flat index, which is several times as fast as indexing by three.
    """
    count, height, width, channels = images.shape
    first = torch.arange(count, device=images.device)[:, None] * height
    places = ((first + rows) * width)[:, :, None] + columns[:, None, :]
    return images.reshape(-1, channels).index_select(0, places.flatten()).view(*places.shape, channels)


def _colour(fill: Any, images: Tensor) -> Tensor:
    values = np.broadcast_to(np.asarray(fill, np.float64), images.shape[-1])
    return _beside(images, values.astype(np.uint8))


def _beside(images: Tensor, values: Any) -> Tensor:
    """A small array, where the images are. Nothing waits for it, so that a GPU is given work ahead."""
    return torch.from_numpy(values).to(images.device, non_blocking=True)


def _batched(name: str, arguments: dict[str, Any]) -> _Batched | None:
    """A transform's form for batches, where there is one."""
    transform = build(name, arguments)
    always = transform.p == 1
    match name:
        case "HorizontalFlip" | "VerticalFlip":
            return _Flip(transform, 2 if name == "HorizontalFlip" else 1)
        case "RandomCrop" | "CenterCrop" if always and not transform.pad_if_needed:
            return _Crop(transform, anywhere=name == "RandomCrop")
        case "Pad" if always:
            return _Pad(transform, _as_told)
        case "PadIfNeeded" if always and transform.position == "center" and _has_sizes(transform):
            return _Pad(transform, _as_needed)
        case "CoarseDropout" if not isinstance(transform.fill, str):
            return _Dropout(transform)
    return None


def _has_sizes(transform: Any) -> bool:
    return transform.min_height is not None and transform.min_width is not None


def _as_told(transform: Any, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of Pad, whose padding is one number, (x, y), or (left, top, right, bottom)."""
    match transform.padding:
        case int(all_around):
            return (all_around,) * 4
        case (x, y):
            return y, y, x, x
        case left, top, right, bottom:
            return top, bottom, left, right
    raise ValueError(f"padding {transform.padding!r}")


def _as_needed(transform: Any, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of PadIfNeeded; an odd pixel goes to the end."""
    down, across = max(0, transform.min_height - height), max(0, transform.min_width - width)
    return down // 2, down - down // 2, across // 2, across - across // 2


@dataclass(frozen=True)
class BatchedPipeline:
    """The transforms, for images of one size (before them: height, width)."""

    steps: Sequence[_Batched]
    height: int
    width: int

    @classmethod
    def of(cls, steps: Sequence[Step], height: int, width: int) -> Self:
        """Of a checked pipeline all of whose transforms have such a form. Raises ValueError where one cannot be applied
        to images of this size.
        """
        found = [each for step in steps for each in [_batched(*_named(step))] if each is not None]
        if len(found) < len(steps):
            raise ValueError(f"only {', '.join(BATCHED)} have a form for whole batches")
        pipeline = cls(found, height, width)
        pipeline._sizes()
        return pipeline

    def draw(self, images: int) -> Tensor:
        """What is done to so many images: images×columns, int64, from torch's global generator on the CPU."""
        uniform = torch.rand(images, sum(step.columns for step in self.steps), dtype=_UNIFORM)
        parts = uniform.split([step.columns for step in self.steps], 1)
        drawn = [step.draw(part, *size) for step, part, size in zip(self.steps, parts, self._sizes()[:-1], strict=True)]
        return torch.cat(drawn, 1) if drawn else uniform.long()

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """uint8 N×H×W×C and what was drawn for them, on one device, in; uint8 N×H'×W'×C out."""
        parts = drawn.split([step.columns for step in self.steps], 1)
        for step, part in zip(self.steps, parts, strict=True):
            images = step.apply(images, part)
        return images

    def _sizes(self) -> list[tuple[int, int]]:
        """Before each of the transforms, and after the last."""
        return list(
            itertools.accumulate(self.steps, lambda size, step: step.size(*size), initial=(self.height, self.width))
        )


BATCHED = ("PadIfNeeded", "Pad", "RandomCrop", "CenterCrop", "HorizontalFlip", "VerticalFlip", "CoarseDropout")
"""The transforms that have such a form, in the ways that they are commonly used."""


def at_the_end(steps: Sequence[Step]) -> int:
    """How many of the last transforms of a checked pipeline, one after the other, have a form for batches."""
    return sum(1 for _ in itertools.takewhile(lambda step: _batched(*_named(step)), reversed(steps)))


def _named(step: Step) -> tuple[str, dict[str, Any]]:
    return next(iter(step.items()))
