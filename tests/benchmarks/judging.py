"""What judging costs: deletion and insertion curves against plain forward passes of as many images.

    python tests/benchmarks/judging.py            # or: make bench

200 images of 32×32, 32 steps each, one network with random weights, in interleaved rounds. What a curve puts through
the network is counted, and the plain forward passes put as many images through it in batches of the same size. The
throughput is the inverse of the last column.
"""

from __future__ import annotations

import math

import torch
from timing import interleaved, settings, table

import xaitool
from xaitool.contracts import Given

IMAGES, BATCH = 200, 200
SMALL = {"name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [16, 32, 64, 128]}
FORWARD = "Plain forward passes"


def main() -> None:
    found = settings(__doc__, rounds=3)
    torch.manual_seed(0)
    model = xaitool.build("model", "timm", given={"num_classes": 10, "input_size": (3, 32, 32)}, **SMALL).module.eval()
    subject = xaitool.Subject(model)
    images, targets, maps = torch.randn(IMAGES, 3, 32, 32), torch.randint(10, (IMAGES,)), torch.rand(IMAGES, 32, 32)
    ids = [str(each) for each in range(IMAGES)]
    metrics = {name: xaitool.build("metric", name, steps=32) for name in ("deletion", "insertion")}
    for name, metric in metrics.items():
        seen: list[int] = []
        with model.register_forward_pre_hook(lambda _module, given, seen=seen: seen.append(len(given[0]))):
            metric.score(subject, images, targets, maps, Given(ids, 0))
        sizes = tuple(seen)
        # Made beforehand: it is the forward passes alone that are timed.
        batches = {size: images.repeat(math.ceil(size / IMAGES), 1, 1, 1)[:size] for size in sizes}

        def forward(sizes: tuple[int, ...] = sizes, batches: dict[int, torch.Tensor] = batches) -> None:
            with torch.no_grad():
                for size in sizes:
                    model(batches[size])

        def score(metric: object = metric) -> None:
            # Given anew: what metrics of one judging share is kept there.
            metric.score(subject, images, targets, maps, Given(ids, 0))  # type: ignore[attr-defined]

        taken = interleaved({FORWARD: forward, f"xaitool, {name}": score}, found.rounds)
        table(f"{name}: {IMAGES} images, {sum(sizes):,} through the network", taken, FORWARD)


if __name__ == "__main__":
    main()
