"""Groups of alike mistakes: the commonest class pairs, each split where it holds more than one kind of mistake.

Pair by pair, because all mistakes clustered together fall apart by what the classes are (animals here, vehicles there),
whatever misled the model. k-means, because it copes with thousands of mistakes where hierarchical clustering needs a
table of all their distances. It splits a single cloud of points as readily as two; so a split counts only where its
silhouette is beyond what splitting one Gaussian cloud of the same shape gives (the idea of SigClust, Liu et al. 2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from xaitool.engine.randomness import derive

# With fewer mistakes than this there are no groups; none is smaller than that.
FEWEST_MISTAKES, SMALLEST = 10, 5

# At most so many class pairs, the commonest, and groups within each.
MOST_PAIRS, MOST_GROUPS = 8, 4

NO_GROUP = -1

_EXAMPLES = 6

# Gaussian clouds that a split has to beat, all of them. By chance it does in one case of a hundred, and so one of all
# the pairs does in fewer than one run of twelve.
_CLOUDS = 99

# Principal components of what is clustered; mistakes on which a silhouette is taken (it needs all their distances).
_COMPONENTS, _SAMPLE = 32, 300

_STARTS = 4

Points = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Alike mistakes, all of one class pair.

    name: ``"cat taken for dog"``, numbered where the pair is split. size: how many mistakes. confidence: mean
    probability of the predicted class. examples: ids of those nearest the centre, the nearest first. silhouette: mean
    silhouette width of the pair's split (Rousseeuw 1987), -1..1, and by_chance, the greatest that splitting one cloud
    gave; None where the pair is not split.
    """

    name: str
    size: int
    confidence: float
    examples: tuple[str, ...]
    silhouette: float | None = None
    by_chance: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As ``triage.json`` has it."""
        return {**vars(self), "examples": list(self.examples)}


@dataclass(frozen=True)
class Groups:
    """All groups, those of the commonest pair first, the larger before the smaller.

    of: the place in `groups` of each of N mistakes, :data:`NO_GROUP` where it has none.
    """

    of: Labels
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class _Split:
    labels: Labels
    silhouette: float
    by_chance: float


def group(
    features: Tensor,
    differences: Tensor,
    true: Sequence[str],
    predicted: Sequence[str],
    confidence: Tensor,
    ids: Sequence[str],
    seed: int,
) -> Groups:
    """Group N mistakes by features (N×D) and difference maps (N×h×w), which weigh alike.

    true, predicted: N names of classes; confidence: N. The order of the mistakes does not matter.
    """
    count = len(ids)
    of = np.full(count, NO_GROUP, np.int64)
    groups: list[Group] = []
    counts = Counter(zip(true, predicted, strict=True))
    pairs = sorted(counts, key=lambda pair: (-counts[pair], pair))[:MOST_PAIRS]
    for pair in pairs if count >= FEWEST_MISTAKES else ():
        if counts[pair] < SMALLEST:
            break
        rows = sorted((row for row in range(count) if (true[row], predicted[row]) == pair), key=ids.__getitem__)
        points = _points(features[rows], differences[rows])
        split = _split(points, derive(seed, *pair) % 2**32)
        labels = split.labels if split else np.zeros(len(rows), np.int64)
        for number, label in enumerate(_largest_first(labels), start=1):
            members = np.flatnonzero(labels == label)
            of[np.asarray(rows)[members]] = len(groups)
            groups.append(
                Group(
                    name=f"{pair[0]} taken for {pair[1]}{f' ({number})' if split else ''}",
                    size=len(members),
                    confidence=float(confidence[rows].double().numpy()[members].mean()),
                    examples=tuple(ids[rows[member]] for member in _nearest(points, members)[:_EXAMPLES]),
                    silhouette=split.silhouette if split else None,
                    by_chance=split.by_chance if split else None,
                )
            )
    return Groups(of, tuple(groups))


def _points(features: Tensor, differences: Tensor) -> Points:
    """What is clustered: the main directions of features and difference maps side by side."""
    from sklearn.decomposition import PCA  # here, as it takes seconds: a run is to start without it

    both = np.concatenate([_weighed(features), _weighed(differences.flatten(1))], axis=1)
    if not both.any():  # all alike: no direction is the main one
        return both[:, :1]
    return np.asarray(PCA(min(_COMPONENTS, *both.shape), random_state=0).fit_transform(both), np.float64)


def _weighed(vectors: Tensor) -> Points:
    """Vectors of length 1, shifted and scaled so that as a block they vary as much as any other.

    Otherwise features after a ReLU, which all point much the same way, would count for nothing beside the maps.
    """
    rows = vectors.double().numpy()
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    centred = rows - rows.mean(0)
    spread = float(np.sqrt((centred**2).sum(1).mean()))
    return centred / spread if spread > np.finfo(np.float32).eps else np.zeros_like(centred)


def _split(points: Points, seed: int) -> _Split | None:
    """The best split, where it is better than that of any Gaussian cloud of the same shape."""
    best = _best(points, seed)
    if best is None:
        return None
    random = np.random.default_rng(seed)
    # Fewer points split a little better by chance, so that a smaller cloud is no easier to beat.
    shape = min(len(points), _SAMPLE), points.shape[1]
    by_chance = -1.0
    for _ in range(_CLOUDS):
        cloud = _best(random.standard_normal(shape) * points.std(0), seed)
        by_chance = max(by_chance, cloud[1] if cloud else -1.0)
        if by_chance >= best[1]:
            return None
    return _Split(*best, by_chance)


def _best(points: Points, seed: int) -> tuple[Labels, float] | None:
    """The clustering with the largest silhouette, and that; None where there is none with groups of enough mistakes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    found = []
    distinct = len(np.unique(points.round(6), axis=0))
    for number in range(2, min(MOST_GROUPS, len(points) // SMALLEST, distinct) + 1):
        labels = KMeans(number, n_init=_STARTS, random_state=seed).fit(points).labels_.astype(np.int64)
        sample = np.random.default_rng(seed).permutation(len(points))[:_SAMPLE]
        if np.bincount(labels, minlength=number).min() >= SMALLEST and len(np.unique(labels[sample])) > 1:
            found.append((labels, float(silhouette_score(points[sample], labels[sample]))))
    return max(found, key=lambda each: each[1], default=None)


def _largest_first(labels: Labels) -> list[int]:
    """Clusters by size; of two as large, the one with the first mistake."""
    sizes = np.bincount(labels)
    return sorted(range(len(sizes)), key=lambda label: (-sizes[label], int(np.argmax(labels == label))))


def _nearest(points: Points, members: NDArray[np.intp]) -> NDArray[np.intp]:
    distances = np.linalg.norm(points[members] - points[members].mean(0), axis=1)
    return members[np.argsort(distances, kind="stable")]
