"""What an image costs on its way to the network: against Albumentations by itself, on one core.

    python tests/benchmarks/loading.py            # or: make bench

The augmentation is that of recipes/resnet18_cifar10.yaml, on images of 32×32, in interleaved rounds: Albumentations on
image after image; the same that also normalises, in torch's DataLoader, as Albumentations' documentation has it; the
loader's batches; and the batches of ``runtime: {augment: device}``, here on the CPU as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import albumentations
import numpy as np
import torch
import yaml
from albumentations.pytorch import ToTensorV2
from numpy.typing import NDArray
from timing import interleaved, settings, table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaitool.data.arrays import ImageArray
from xaitool.data.pipeline import check
from xaitool.data.transforms import compose
from xaitool.engine.loading import Fetched, make_loader
from xaitool.recipe.library import locate

IMAGES, BATCH = 2048, 128


class Plain(Dataset[tuple[Tensor, int]]):
    """A data set by hand: item i goes through Albumentations, is normalised and made a tensor."""

    def __init__(self, pixels: NDArray[np.uint8], pipeline: albumentations.Compose) -> None:
        self.pixels = pixels
        normalise = albumentations.Normalize((0.5,) * 3, (0.25,) * 3)
        self.pipeline = albumentations.Compose([*pipeline.transforms, normalise, ToTensorV2()])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pipeline(image=self.pixels[index])["image"], 0


def used_up(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def main() -> None:
    found = settings(__doc__, rounds=7)
    steps = check(yaml.safe_load(locate("resnet18_cifar10").read_text())["dataset"]["augment"])
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    images = ImageArray(pixels, np.zeros(IMAGES, np.int64), (0.5,) * 3, (0.25,) * 3, steps)
    half_done, pipeline = images.on_device(), compose(steps)
    loader = make_loader(images, BATCH, shuffle=True)
    batched = Fetched(make_loader(half_done, BATCH, shuffle=True), torch.device("cpu"), half_done.finish)
    plain = DataLoader(Plain(pixels, compose(steps)), BATCH, shuffle=True)
    alone = "Albumentations alone"
    timed = {
        alone: lambda: used_up(pipeline(image=image) for image in pixels),
        "Albumentations, normalised, in a DataLoader": lambda: used_up(plain),
        "xaitool's loader": lambda: used_up(loader),
        "xaitool, augment: device": lambda: used_up(batched),
    }
    table("An image of 32×32", interleaved(timed, found.rounds), alone, per=IMAGES, unit="Microseconds")


if __name__ == "__main__":
    main()
