"""What an image costs on its way to the network: against Albumentations by itself, on one core.

    python tests/benchmarks/loading.py            # or: make bench

The augmentation is that of recipes/resnet18_cifar10.yaml, on images of 32×32, in interleaved rounds: Albumentations on
image after image; the loader's batches, which are also normalised; and the batches of ``runtime: {augment: device}``,
normalised too, here on the CPU as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import yaml
from timing import interleaved, settings, table

from xaitool.data.arrays import ImageArray
from xaitool.data.pipeline import check
from xaitool.data.transforms import compose
from xaitool.engine.loading import Fetched, make_loader
from xaitool.recipe.library import locate

IMAGES, BATCH = 2048, 128


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
    alone = "Albumentations alone"
    timed = {
        alone: lambda: used_up(pipeline(image=image) for image in pixels),
        "xaitool's loader": lambda: used_up(loader),
        "xaitool, augment: device": lambda: used_up(batched),
    }
    table("An image of 32×32", interleaved(timed, found.rounds), alone, per=IMAGES, unit="Microseconds")


if __name__ == "__main__":
    main()
