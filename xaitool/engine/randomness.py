"""Random numbers: every stage draws from a seed of its own, and the caller's generators come back untouched."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """A seed for one purpose, in ``range(2**63)``; different names give unrelated seeds."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch, on every device."""
    seed_cpu(seed)
    torch.manual_seed(seed)


def seed_cpu(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch on the CPU, and none on other devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


@contextmanager
def kept() -> Iterator[None]:
    """Put the states of the global generators back on leaving."""
    on_mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with kept_cpu(), torch.random.fork_rng(_devices()):
        try:
            yield
        finally:
            if on_mps is not None:
                torch.mps.set_rng_state(on_mps)


@contextmanager
def kept_cpu() -> Iterator[None]:
    """The same for the CPU's generators alone, which is quick enough to do for every batch."""
    python, numpy, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torchs)


def states() -> dict[str, Any]:
    """The states of the global generators, in types that ``torch.load(weights_only=True)`` reads."""
    kind, key, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(key).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(device) for device in _devices()],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_states(found: dict[str, Any]) -> None:
    """Put back what :func:`states` gave, on as many devices as there are here."""
    random.setstate(found["python"])
    np.random.set_state(found["numpy"])
    torch.set_rng_state(found["torch"])
    for device, state in zip(_devices(), found["cuda"], strict=False):
        torch.cuda.set_rng_state(state, device)
    if found["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(found["mps"])


def _devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
