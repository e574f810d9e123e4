"""Mistakes whose reasons are known: each class is the brightest pixel of a quadrant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from xaitool import DataBundle, Evaluation, ModelBundle, Subject
from xaitool.engine.explaining import Trained
from xaitool.engine.select import Selection

SIZE = 16
CLASSES = ("cat", "dog", "owl, barn", 'fox "red"')

Maps = Callable[[Subject, Tensor, Tensor], Tensor]


class Brightest(nn.Module):
    """Logit c is twice the brightest pixel of quadrant c: N×3×16×16 in, N×4 out."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveMaxPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 4)
        with torch.no_grad():
            self.head.weight.copy_(2 * torch.eye(4))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.pool(images.mean(1, keepdim=True)).flatten(1)
        return self.head(self.dropout(pooled))  # type: ignore[no-any-return]


def quadrant(targets: Tensor) -> Tensor:
    """Where each class is looked for: N×16×16 bool."""
    masks = torch.zeros(len(targets), SIZE, SIZE, dtype=torch.bool)
    for row, target in enumerate(targets.tolist()):
        down, across = (SIZE // 2 * side for side in divmod(target, 2))
        masks[row, down : down + SIZE // 2, across : across + SIZE // 2] = True
    return masks


def picture(**brightness: float) -> Tensor:
    """A 3×16×16 picture with 4×4 patches: ``picture(q0=3, q2=2)`` has one in quadrant 0 and a darker one in 2."""
    image = torch.zeros(3, SIZE, SIZE)
    for name, bright in brightness.items():
        down, across = (2 + SIZE // 2 * side for side in divmod(int(name[1]), 2))
        image[:, down : down + 4, across : across + 4] = bright
    return image


class Explainer:
    """Gives the maps that a function gives, and notes how many images it was asked for."""

    def __init__(self, maps: Maps) -> None:
        self.maps = maps
        self.asked: list[int] = []

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        self.asked.append(len(images))
        return self.maps(subject, images, targets)


def truth(_subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """What speaks for a class: its quadrant, and most of all what is bright there."""
    return torch.where(quadrant(targets), 1 + images.mean(1), 0.0)


def trained_on(module: nn.Module, images: Sequence[Tensor], labels: Sequence[int], ids: Sequence[str]) -> Trained:
    """A model and its test results."""
    with torch.no_grad():
        training = module.training
        logits = module.eval()(torch.stack(list(images)))
        module.train(training)
    test = list(zip(images, labels, strict=True))
    data = DataBundle(test, test, CLASSES, (0.0,) * 3, (1.0,) * 3, tuple(ids), tuple(ids), "planted")
    none = torch.empty(0, dtype=torch.int64)
    evaluation = Evaluation(logits, torch.tensor(labels))
    return Trained(ModelBundle(module, (3, SIZE, SIZE), ()), data, evaluation, Selection(none, none))
