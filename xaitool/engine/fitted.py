"""What a training leaves: the figures of each epoch, and the learning rate of each step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch: mean cross-entropy and accuracy (0..1) on training batches (augmented, while learning)
    and on the test images, the rate of its last step, and how long its training took.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    images_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """A line of ``history.jsonl``."""
        return asdict(self)


@dataclass
class Fitted:
    """What training left: the figures of each epoch and the learning rate of each step."""

    history: list[Epoch] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
