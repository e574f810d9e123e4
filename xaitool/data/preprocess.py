"""From a picture's pixels to what a model takes: resized, cropped and normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from xaitool.data.transforms import Step, compose


@dataclass(frozen=True)
class Preprocess:
    """What is done to every picture before a model sees it.

    mean, std: per channel, in units of [0, 1] pixel values; one number each: the picture is turned to grey. size:
    (height, width); None: as the picture is. steps: a checked Albumentations pipeline, applied first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    steps: Sequence[Step] = ()

    @cached_property
    def _pipeline(self) -> Any:
        return compose(self.steps) if self.steps else None

    def __call__(self, pixels: Any) -> Tensor:
        """H×W×3 uint8 in, C×height×width float32, normalised, out.

        A picture of another size is scaled until it covers `size`, and cut out of the middle. Raises ValueError where
        the steps cannot be applied to it.
        """
        if self._pipeline is not None:
            self._pipeline.set_random_seed(0)
            try:
                pixels = self._pipeline(image=np.ascontiguousarray(pixels))["image"]
            except Exception as error:  # a transform of anybody's may raise anything
                raise ValueError(f"the transforms fail on it: {error}") from error
        if self.size and pixels.shape[:2] != self.size:
            height, width = self.size
            pixels = np.asarray(ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.BICUBIC))
        if len(self.mean) == 1:
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
        values = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (self.mean, self.std))
        return (values - mean) / std
