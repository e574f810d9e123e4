"""What explainers and metrics are tried on: a small trained network, pictures whose objects are known, and its state.

The network has two layers for CAM methods, ``stage1`` (16×16 for a 32×32 image) and ``stage2`` (8×8).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.building import build
from xaitool.contracts import DataBundle, Images, Subject
from xaitool.engine.randomness import kept, seed_all

CLASSES = ("circle", "triangle", "star", "cross")
SIZE = 32

_TRAIN, _TEST, _EPOCHS, _BATCH, _PEAK_LR = 768, 500, 12, 64, 0.02
# Objects whose middle is farther from the picture's, as a fraction of its side, leave the centre pixel mostly free.
_OFF_CENTRE = 0.2


class SmallNet(nn.Module):
    """Convolution, batch norm, in-place ReLU, five times; mean; dropout; linear. N×3×H×W in, N×4 logits out."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stage1 = _block(3, width, stride=2)
        wide = 2 * width
        self.stage2 = nn.Sequential(_block(width, wide, stride=2), *(_block(wide, wide) for _ in range(3)))
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(wide, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.head(self.dropout(self.stage2(self.stage1(images)).mean((2, 3))))  # type: ignore[no-any-return]


def _block(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


@dataclass(frozen=True)
class Pictures:
    """Test pictures: images N×3×32×32, normalised; labels N, of which the network is right; masks N×32×32 bool."""

    images: Tensor
    labels: Tensor
    masks: Tensor


def subject() -> Subject:
    """The trained network, a copy of its own for each caller, in training mode: explainers are to see to that."""
    module, data = copy.deepcopy(_trained()), _data()
    return Subject(module.train(), ("stage1", "stage2"), data.mean, data.std)


def lived_in() -> Subject:
    """The same with a past: mixed modes, frozen parts, gradients in some places, hooks of its owner's."""
    found = subject()
    module = found.module
    with kept():
        seed_all(0)
        F.cross_entropy(module(pictures(8).images), pictures(8).labels).backward()
    stage1, stage2, head = (module.get_submodule(name) for name in ("stage1", "stage2", "head"))
    stage1.eval().requires_grad_(False)
    next(head.parameters()).grad = None
    stage2.register_forward_hook(lambda _module, _inputs, _output: None)
    head.register_forward_pre_hook(lambda _module, _inputs: None)
    return found


def weights_randomised(given: Subject) -> Subject:
    """A subject like the one given with every weight drawn anew, the statistics of the batch norms included."""
    module = copy.deepcopy(given.module)
    with kept():
        seed_all(1)
        for part in module.modules():
            reset: Callable[[], None] | None = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
    return Subject(module, given.cam_layers, given.mean, given.std)


def pictures(count: int) -> Pictures:
    """The first test pictures."""
    every = _right()
    return Pictures(every.images[:count].clone(), every.labels[:count].clone(), every.masks[:count])


def off_centre() -> Pictures:
    """Test pictures whose object lies away from the middle."""
    every = _right()
    places = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    area = every.masks.sum((1, 2))
    down = (every.masks.sum(2) * places).sum(1) / area
    across = (every.masks.sum(1) * places).sum(1) / area
    chosen = torch.hypot(down, across) > _OFF_CENTRE
    return Pictures(every.images[chosen], every.labels[chosen], every.masks[chosen])


@cache
def _data() -> DataBundle:
    options = {"classes": CLASSES, "size": SIZE, "clutter": 0.0, "occlusion": 0.0, "noise": 0.02}
    return build("dataset", "xaitool/shapes", given={"seed": 0}, train=_TRAIN, test=_TEST, **options)  # type: ignore[no-any-return]


@cache
def _trained() -> nn.Module:
    """The network after a second or two of training."""
    with kept(), torch.inference_mode(False), torch.enable_grad():
        seed_all(0)
        module = SmallNet()
        images, labels = _stacked(_data().train)
        steps = _EPOCHS * (len(images) // _BATCH)
        optimizer = torch.optim.AdamW(module.parameters(), lr=_PEAK_LR)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LR, total_steps=steps)
        for _ in range(_EPOCHS):
            for rows in torch.randperm(len(images)).split(_BATCH):
                optimizer.zero_grad()
                F.cross_entropy(module(images[rows]), labels[rows]).backward()
                optimizer.step()
                schedule.step()
        module.zero_grad()
        return module.eval()


@cache
def _right() -> Pictures:
    data = _data()
    images, labels = _stacked(data.test)
    with torch.no_grad():
        right = _trained()(images).argmax(1) == labels
    accuracy = float(right.float().mean())
    if accuracy < 0.9:
        raise RuntimeError(f"the network that explainers are tried on has learnt too little: {accuracy:.0%} are right")
    masks = [data.test_masks[row] for row in range(len(images))] if data.test_masks else []
    return Pictures(images[right], labels[right], torch.stack(masks)[right])


def _stacked(images: Images) -> tuple[Tensor, Tensor]:
    items = [images[row] for row in range(len(images))]
    return torch.stack([image for image, _ in items]), torch.tensor([label for _, label in items])


def condition(module: nn.Module) -> dict[str, Any]:
    """All there is to a module that its borrower could change, by what to call it."""
    found: dict[str, Any] = {}
    for name, part in module.named_modules():
        place = name or "the module"
        found[f"training flag of {place}"] = part.training
        found[f"hooks of {place}"] = {key: list(value) for key, value in vars(part).items() if key.endswith("_hooks")}
        found[f"attributes of {place}"] = sorted(vars(part))
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        found[f"values of {name}"] = _bytes(tensor)
        found[f"requires_grad of {name}"] = tensor.requires_grad
        found[f".grad of {name}"] = None if tensor.grad is None else _bytes(tensor.grad)
    return found


def random_state() -> dict[str, Any]:
    """The states of the global generators."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch's random state": _bytes(torch.get_rng_state()),
        "numpy's random state": (name, np.asarray(keys).tobytes(), *rest),
        "Python's random state": random.getstate(),
    }


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().numpy().tobytes()


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is not as it was, in words; empty where all is."""
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
    return ", ".join(_told(name, before.get(name), after.get(name)) for name in changed[:4]) + more


def _told(name: str, before: Any, after: Any) -> str:
    plain = isinstance(before, bool) and isinstance(after, bool)
    return f"{name} ({before} before, {after} after)" if plain else name
