"""The classes that are to be explained, however the user says them, as one int64 tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaitool.errors import ExplainError
from xaitool.suggest import did_you_mean


def resolved(targets: Any, logits: Tensor, classes: Sequence[str]) -> Tensor:
    """One class an image: N int64, on the CPU.

    targets: None (the class with the largest logit), a class or one for each of the N images; a class is an int, or a
    name where `classes` has them. logits: N×classes. Raises ExplainError.
    """
    count, known = logits.shape
    if targets is None:
        return logits.argmax(1)
    if isinstance(targets, Tensor | np.ndarray):
        targets = targets.tolist()
    several = isinstance(targets, Sequence) and not isinstance(targets, str)
    each = list(targets) if several else [targets] * count
    if len(each) != count:
        raise ExplainError(f"{count} images need one target each, or one for all; there are {len(each)} targets")
    return torch.tensor([_index(one, known, classes) for one in each], dtype=torch.int64)


def check_classes(classes: Sequence[str], known: int) -> tuple[str, ...]:
    """The names as given, or else ``class 0``, …. Raises ExplainError where there are not as many as classes."""
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise ExplainError("classes should be a list of names, in the order of the model's outputs")
    if classes and len(classes) != known:
        raise ExplainError(f"{len(classes)} classes are named, and the model has {known}")
    if len(set(classes)) != len(classes):
        raise ExplainError("classes has a name twice")
    return tuple(classes) or tuple(f"class {number}" for number in range(known))


def _index(target: Any, known: int, classes: Sequence[str]) -> int:
    match target:
        case bool():
            pass
        case int() | np.integer():
            if not 0 <= target < known:
                raise ExplainError(f"target {target} is out of range: the model's classes are 0..{known - 1}")
            return int(target)
        case str() if not classes:
            raise ExplainError(f"target '{target}' is a name: say with classes what the model's classes are called")
        case str():
            if target not in classes:
                raise ExplainError(f"there is no class '{target}'{did_you_mean(target, classes)}")
            return list(classes).index(target)
    raise ExplainError(f"a target is a class's number or name, not {target!r}")
