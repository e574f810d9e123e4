"""A seeded split into training and test images that keeps the classes' shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stratified(ids: Sequence[str], labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which of the samples are test samples: of each class the fraction, rounded, but one at least and not all.

    A class's only sample is for training. A sample's turn follows from the seed and its id: the order of the samples
    does not matter, and a new one changes the side of a few others at most.
    """
    turns = np.array([hashlib.blake2b(f"{seed}/split/{each}".encode(), digest_size=8).hexdigest() for each in ids])
    chosen = np.zeros(len(ids), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[members[np.argsort(turns[members], kind="stable")[:count]]] = True
    return chosen
