"""A problem whose answer is known: what metrics are tried on.

One quadrant of each 16×16 picture holds a bright patch of 4×4 pixels, and the network adds up brightness quadrant by
quadrant: the evidence for the target lies in the patch, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaitool.contracts import Aspect, Given, Subject
from xaitool.engine.randomness import kept, seed_all

Explain = Callable[[Subject, Tensor, Tensor], Tensor]

SIZE, CLASSES = 16, 4

_PATCH, _MARGIN, _WIDTH, _GAIN = 4, 2, 4, 2.0


class Quadrants(nn.Module):
    """Class c is the brightness of quadrant c: N×3×16×16 in, N×4 logits out."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(3, _WIDTH, 3, padding=1)
        self.stage1 = nn.Sequential(conv, nn.BatchNorm2d(_WIDTH), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(_WIDTH * CLASSES, CLASSES)
        with torch.no_grad():
            for parameter in (*conv.parameters(), *self.head.parameters()):
                parameter.zero_()
            conv.weight[:, :, 1, 1] = 1 / 3
            self.head.weight.copy_(_GAIN * torch.eye(CLASSES).repeat(1, _WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.head(self.dropout(self.pool(self.stage1(images)).flatten(1)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Problem:
    """images N×3×16×16, normalised; targets N int64; masks N×16×16 bool, where the evidence is; ids, one an image."""

    images: Tensor
    targets: Tensor
    masks: Tensor
    ids: tuple[str, ...]

    def given(self, explain: Explain, needs: frozenset[str]) -> Given:
        """What a metric with these needs is given."""
        return Given(
            ids=self.ids,
            seed=0,
            mask=self.masks if "mask" in needs else None,
            explain=explain if "explainer" in needs else None,
            native_size=(SIZE, SIZE),
        )

    def rows(self, rows: Tensor) -> Problem:
        """Some of it, in this order."""
        ids = tuple(self.ids[row] for row in rows.tolist())
        return Problem(self.images[rows], self.targets[rows], self.masks[rows], ids)


def problem(count: int) -> Problem:
    """The first pictures, the classes taking turns."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % CLASSES
    masks = patches(targets)
    images = 0.1 * torch.randn(count, 3, SIZE, SIZE, generator=generator)
    bright = 2 + 0.2 * torch.rand(count, 3, SIZE, SIZE, generator=generator)
    images = torch.where(masks[:, None], bright, images)
    return Problem(images, targets, masks, tuple(f"planted/{index:03d}" for index in range(count)))


def subject() -> Subject:
    """The network with the answer, in training mode."""
    with kept():
        seed_all(0)
        return Subject(Quadrants(), ("stage1",), (0.5,) * 3, (0.25,) * 3)


def patches(targets: Tensor) -> Tensor:
    """Where the patch of each class is: N×16×16 bool."""
    masks = torch.zeros(len(targets), SIZE, SIZE, dtype=torch.bool)
    for row, target in enumerate(targets.tolist()):
        down, across = (_MARGIN + SIZE // 2 * side for side in divmod(target, 2))
        masks[row, down : down + _PATCH, across : across + _PATCH] = True
    return masks


def truth(_subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """What each pixel adds to the target's logit, in the patch; nothing elsewhere."""
    return torch.where(patches(targets), images.detach().mean(1), 0)


def opposite(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """The truth upside down: nothing where the evidence is, much where there is none."""
    maps = truth(subject, images, targets)
    return maps.amax((1, 2), keepdim=True) - maps


def input_times_gradient(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """Depends on the weights: each pixel times its gradient, summed over the channels, for a network in eval mode."""
    module = subject.module
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.enable_grad():
            inputs = images.detach().clone().requires_grad_()
            score = module(inputs).gather(1, targets[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, inputs)
    finally:
        for part, training in flags:
            part.training = training
    return (inputs.detach() * gradient).sum(1)


def brightness(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
    """Depends on the image alone: the same whatever the weights and the class."""
    return images.detach().mean(1)


def jumpy(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
    """Another map altogether for an image a tiny bit different."""
    return torch.sin(1e4 * images.detach().sum(1))


def good_and_bad(aspect: Aspect) -> tuple[Explain, Explain]:
    """An explainer that is right in what a metric of this aspect measures, and one that is as wrong as can be."""
    match aspect:
        case "model" | "class":
            return input_times_gradient, brightness
        case "stability":
            return truth, jumpy
        case _:
            return truth, opposite
