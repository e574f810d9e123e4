"""The images that a user gives, in any of the forms that images come in, as one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xaitool.characters import printable
from xaitool.contracts import display
from xaitool.data.decode import decode, pixels_of
from xaitool.data.preprocess import Preprocess
from xaitool.errors import ExplainError, ImageError

_FORMS = (
    "a float tensor of N x C x H x W (normalised already), a uint8 one (with mean and std), or PIL images, "
    "H x W x 3 uint8 arrays or paths (with mean, std and size)"
)


@dataclass(frozen=True)
class Images:
    """What a model is shown.

    tensor: N×C×H×W float32. names: one an image: its file's, or its number. mean, std: of the normalisation; empty
    where nobody has said.
    """

    tensor: Tensor
    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.tensor)

    @property
    def in_pixel_units(self) -> bool:
        """Whether it can be told what the pixels were: mean and std are known, or the values are pixels."""
        return bool(self.mean) or bool(self.tensor.min() >= 0 and self.tensor.max() <= 1)

    def pictures(self) -> Any:
        """The images as a person sees them: N×H×W×3 uint8.

        Where it is not known how they were normalised, each is stretched from its darkest to its brightest value.
        """
        shown = self.tensor.detach().cpu()
        if self.in_pixel_units:
            shown = display(shown, self.mean, self.std)
        else:
            low, high = shown.amin((1, 2, 3), keepdim=True), shown.amax((1, 2, 3), keepdim=True)
            shown = (shown - low) / (high - low).clamp(min=1e-12)
        if shown.shape[1] < 3:  # grey is shown as grey
            shown = shown[:, :1].expand(-1, 3, -1, -1)
        return (shown[:, :3].permute(0, 2, 3, 1) * 255).round().byte().numpy()


def taken(
    images: Any, mean: Sequence[float] | None, std: Sequence[float] | None, size: int | Sequence[int] | None
) -> Images:
    """The images as one tensor. Raises ExplainError for what is none, ImageError for one that cannot be read."""
    mean, std = _normalisation(mean, std)
    if isinstance(images, Sequence) and not isinstance(images, str) and images:
        if all(isinstance(each, Tensor) for each in images):
            images = _stacked(images)
    elif isinstance(images, Image.Image | str | Path):
        images = [images]
    if isinstance(images, Tensor) and images.is_floating_point():
        return _normalised(images, mean, std, size)
    pixels, names = _pixels(images)
    if not mean:
        raise ExplainError(
            "these images are pixels: say with mean and std (a number a channel, for pixel values in [0, 1]) how the "
            "model's images are normalised; a model from timm has them in model.pretrained_cfg"
        )
    prepare = Preprocess(mean, std, _size(size))
    sizes = {each.shape[:2] for each in pixels}
    if prepare.size is None and len(sizes) > 1:
        found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:3])
        raise ExplainError(f"the images have different sizes ({found}, …): say with size what the model takes")
    return Images(torch.stack([prepare(each) for each in pixels]), names, mean, std)


def _normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...], size: Any) -> Images:
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape:
        raise ExplainError(f"images should be N x C x H x W, and are {_shape(images.shape)}")
    if size is not None and _size(size) != tuple(images.shape[2:]):
        raise ExplainError("size is for images that are pixels; a float tensor is explained as it is")
    if mean and len(mean) != images.shape[1]:
        raise ExplainError(f"mean and std have {len(mean)} channels, and the images {images.shape[1]}")
    if not images.isfinite().all():
        raise ExplainError("the images hold NaN or infinite values")
    return Images(images.detach().float(), tuple(map(str, range(len(images)))), mean, std)


def _stacked(images: Sequence[Tensor]) -> Tensor:
    shapes = {tuple(each.shape) for each in images}
    if len(shapes) > 1:
        raise ExplainError(
            f"tensors of different shapes make no batch: {' and '.join(map(_shape, sorted(shapes)[:2]))}"
        )
    return torch.stack(list(images))


def _pixels(images: Any) -> tuple[list[Any], tuple[str, ...]]:
    """Each image as H×W×3 uint8, and its name."""
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8:
            raise ExplainError(f"images of {images.dtype} are neither normalised nor pixels; give {_FORMS}")
        images = images[None] if images.ndim == 3 else images
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ExplainError(f"uint8 tensors should be N x 3 x H x W, and these are {_shape(images.shape)}")
        images = images.cpu().permute(0, 2, 3, 1).numpy()
    if isinstance(images, np.ndarray):
        images = images[None] if images.ndim == 3 else images
    elif not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise ExplainError(f"images should be {_FORMS}, not {type(images).__name__}")
    if not len(images):
        raise ExplainError("there are no images")
    pixels = [_one(each, number) for number, each in enumerate(images)]
    names = tuple(
        printable(Path(each).name) if isinstance(each, str | Path) else str(number)
        for number, each in enumerate(images)
    )
    return pixels, names


def _one(image: Any, number: int) -> Any:
    match image:
        case str() | Path():
            if Path(image).is_dir():
                raise ImageError(str(image), "it is a folder; give its files")
            if not Path(image).is_file():
                raise ImageError(str(image), "there is no such file")
            return decode(Path(image))
        case Image.Image():
            return pixels_of(image, f"image {number}")
        case np.ndarray() if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3):
            return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
        case np.ndarray():
            raise ExplainError(f"image {number} is a {image.dtype} array of {_shape(image.shape)}, not uint8 H x W x 3")
    raise ExplainError(f"image {number} is a {type(image).__name__}; images should be {_FORMS}")


def _normalisation(
    mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if (mean is None) != (std is None):
        raise ExplainError(f"mean and std belong together; {'mean' if mean is None else 'std'} is missing")
    if mean is None or std is None:
        return (), ()
    mean, std = (tuple(map(float, each)) if isinstance(each, Sequence) else _listed(each) for each in (mean, std))
    if len(mean) != len(std) or len(mean) not in (1, 3):
        raise ExplainError(f"mean has {len(mean)} and std {len(std)} numbers; each takes 3, or 1 for grey")
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ExplainError("mean and std should be numbers, and std above 0")
    return mean, std


def _listed(values: Any) -> tuple[float, ...]:
    """A tensor, an array, or one number for the one channel."""
    return tuple(map(float, np.asarray(values, float).reshape(-1)))


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ExplainError(f"size should be one number of pixels, or (height, width), not {size!r}")
    return sides[0], sides[1]


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
