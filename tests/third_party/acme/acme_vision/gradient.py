"""The size of the gradient times the image, smoothed over a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from acme_vision.config import Config
from xaitool import Subject
from xaitool.borrow import borrowed
from xaitool.errors import ExplainError


class Gradient:
    """See xaitool's contract of an explainer."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        if targets.shape != (len(images),):
            raise ExplainError(f"{len(images)} images need as many targets, not {tuple(targets.shape)}")
        with torch.inference_mode(False), borrowed(subject.module), torch.enable_grad():
            subject.module.eval().requires_grad_(False)
            images = images.detach().clone().requires_grad_()
            logits = subject.module(images)
            if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
                raise ExplainError(f"targets should lie in 0..{logits.shape[1] - 1}")
            (gradient,) = torch.autograd.grad(logits.gather(1, targets.clone()[:, None]).sum(), images)
            maps = (gradient * images).sum(1, keepdim=True).abs().detach()
        return F.avg_pool2d(maps, self.config.width, stride=1, padding=self.config.width // 2)[:, 0]


def build(config: Config) -> Gradient:
    return Gradient(config)
