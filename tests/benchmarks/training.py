"""What the engine costs a step: against a minimal PyTorch loop, written by hand, that does the same steps.

    python tests/benchmarks/training.py            # or: make bench

Both train copies of one network on batches of equal loaders, in interleaved rounds; the engine shows its progress bar
(on a terminal that keeps nothing). The C library keeps freed memory for both, as it does for ``xaitool run``
(tests/benchmarks/memory.py).
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from timing import interleaved, settings, table
from torch.nn import functional as F

import xaitool
from xaitool.cli.memory import keep_memory
from xaitool.contracts import Tuned
from xaitool.data.arrays import ImageArray
from xaitool.data.pipeline import check
from xaitool.engine.loading import make_loader
from xaitool.engine.optimize import parameter_groups
from xaitool.engine.progress import Display
from xaitool.engine.runtime import Runtime, open_runtime
from xaitool.engine.trainer import Trainer
from xaitool.recipe.schema import RuntimeSettings, SGDSettings, TrainSettings

AUGMENT = check(["HorizontalFlip"])
SMALL = {"name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [16, 32, 64, 128]}
# Title, model, batch size, steps in a round: the networks of the recipes quickstart and resnet18_cifar10.
CASES: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("A step of quickstart's network, 64 images of 32×32", "timm", SMALL, 64, 40),
    ("A step of ResNet-18, 128 images of 32×32", "resnet18", {"stem": "cifar"}, 128, 2),
]
RATE, DECAY = 0.01, 5e-4


class Terminal(io.StringIO):
    """What is written to it goes nowhere, but as to a terminal."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def contestants(
    runtime: Runtime, module: torch.nn.Module, size: int, steps: int, rounds: int
) -> dict[str, Callable[[], object]]:
    pixels = np.random.default_rng(0).integers(0, 256, (size * steps, 32, 32, 3), dtype=np.uint8)
    images = ImageArray(pixels, np.arange(size * steps) % 8, (0.5,) * 3, (0.25,) * 3, AUGMENT)

    def by_hand() -> Callable[[], object]:
        model = copy.deepcopy(module).train().to(memory_format=torch.channels_last)
        loader = make_loader(images, size, shuffle=True)
        optimizer = torch.optim.SGD(parameter_groups(model, DECAY, False), lr=RATE, momentum=0.9, nesterov=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps * (rounds + 2))

        def train() -> None:
            for batch, labels in loader:
                loss = F.cross_entropy(model(batch.contiguous(memory_format=torch.channels_last)), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()

        return train

    def by_xaitool() -> Callable[[], object]:
        optimizer = SGDSettings(momentum=0.9, nesterov=True, weight_decay=DECAY)
        scheduler = xaitool.build("scheduler", "onecycle", max_lr=RATE)
        told = TrainSettings(epochs=rounds + 2, batch_size=size, optimizer=optimizer, scheduler={"use": "onecycle"})
        loader = runtime.loader(images, size, shuffle=True)
        trainer = Trainer(copy.deepcopy(module), loader, told, scheduler, Tuned(RATE, [], [], ""), runtime)
        display = Display(Console(file=Terminal(), force_terminal=True))

        def train() -> None:
            with display.bar("epoch", len(images)) as bar:
                trainer.epoch(bar)
            trainer.close_epoch(None)

        return train

    return {"PyTorch by hand": by_hand(), "xaitool": by_xaitool()}


def main() -> None:
    found = settings(__doc__, rounds=9)
    keep_memory()
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        for title, name, options, size, steps in CASES:
            torch.manual_seed(0)
            module = xaitool.build("model", name, given={"num_classes": 8, "input_size": (3, 32, 32)}, **options).module
            taken = interleaved(contestants(runtime, module, size, steps, found.rounds), found.rounds)
            table(title, taken, "PyTorch by hand", per=steps, unit="Milliseconds")


if __name__ == "__main__":
    main()
