"""What it saves a training on the CPU that ``xaitool`` lets glibc keep freed memory, as its command line does.

    python tests/benchmarks/memory.py            # or: make bench

Steps of quickstart's network, each time in a process of its own, with and without, in turn. Without, it is chance how
much of a step's memory goes back to the system and has to be found and cleared again: hence range and page faults.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

import torch
from timing import settings

import xaitool
from xaitool.cli.memory import keep_memory

NETWORK = {"name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [16, 32, 64, 128]}
BATCH, STEPS = 64, 40


def steps(keep: bool) -> None:
    """Print the milliseconds and the page faults that a step takes."""
    if keep and not keep_memory():
        sys.exit("this needs glibc, and no MALLOC_ variable in the environment")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    given = {"num_classes": 8, "input_size": (3, 32, 32)}
    model = xaitool.build("model", "timm", given=given, **NETWORK).module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(8, (BATCH,))

    def step() -> None:
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(5):
        step()
    began, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        step()
    taken = time.perf_counter() - began
    print(taken / STEPS * 1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / STEPS)


def main() -> None:
    if sys.argv[1:2] == ["steps"]:
        return steps(sys.argv[2] == "kept")
    found = settings(__doc__, rounds=7)
    taken: dict[str, list[tuple[float, float]]] = {"returned": [], "kept": []}
    for _ in range(found.rounds):
        for how, each in taken.items():
            command = [sys.executable, __file__, "steps", how]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            each.append((float(printed[0]), float(printed[1])))
    print("| A step of quickstart's network, memory | Milliseconds, median (range) | Page faults, median |")
    print("| --- | ---: | ---: |")
    for how, each in taken.items():
        times, faults = zip(*each, strict=True)
        print(
            f"| {how} | {statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f}) "
            f"| {statistics.median(faults):,.0f} |"
        )
    print()


if __name__ == "__main__":
    main()
