"""Timing for the benchmarks: contestants in one process, in turn, again and again."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import torch


def settings(description: str | None, rounds: int, peers: Sequence[str] = (), threads: int = 1) -> argparse.Namespace:
    """The options that all benchmarks have; torch is set to so many threads, and machine and versions are printed."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=threads)
    found = parser.parse_args()
    torch.set_num_threads(found.threads)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("xaitool", "torch", *peers))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, {found.threads} thread(s), {found.rounds} rounds; {libraries}\n")
    return found


def interleaved(timed: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each, over rounds in which each has its turn; a round before these warms up."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, function in timed.items():
            began = time.perf_counter()
            function()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in taken.items()}


def table(title: str, seconds: Mapping[str, float], against: str, per: int = 1, unit: str = "Seconds") -> None:
    """Print a table: the time of each, and in units of the one it is compared with. per: things in a turn."""
    scale = {"Seconds": 1, "Milliseconds": 1e3, "Microseconds": 1e6}[unit.split()[0]] / per
    print(f"| {title} | {unit} | Times {against} |\n| --- | ---: | ---: |")
    for name, each in seconds.items():
        print(f"| {name} | {each * scale:.3g} | {each / seconds[against]:.2f} |")
    print()
