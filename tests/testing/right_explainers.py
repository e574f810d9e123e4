"""An explainer that keeps the whole contract: what the wrong ones are made from."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from xaitool import config
from xaitool.borrow import borrowed
from xaitool.contracts import Subject
from xaitool.errors import ExplainError


class Config(config.Config):
    """Options of the explainers for tests."""

    batch_size: int = Field(64, ge=1, description="Images explained at a time.")


class InputTimesGradient:
    """Each pixel times its gradient, summed over the channels."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        if len(targets) != len(images):
            raise ExplainError(f"{len(images)} images, {len(targets)} targets")
        size = self.config.batch_size
        with torch.inference_mode(False), borrowed(subject.module) as module, torch.enable_grad():
            module.eval().requires_grad_(False)
            parts = zip(images.split(size), targets.split(size), strict=True)
            return torch.cat([self.maps(module, some.detach().clone(), classes.clone()) for some, classes in parts])

    def native_size(self, _subject: Subject, images: Tensor) -> tuple[int, int]:
        return images.shape[2], images.shape[3]

    def maps(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        logits = module(images.requires_grad_())
        if not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
            raise ExplainError(f"targets {targets.tolist()} for {logits.shape[1]} classes")
        (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), images)
        return (images.detach() * gradient).sum(1)
