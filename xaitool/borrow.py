"""Borrowing a model: whatever is done to it, it comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def borrowed(module: nn.Module) -> Iterator[nn.Module]:
    """Give back, on leaving, every module's train/eval flag and every parameter's ``requires_grad`` and ``.grad``.

    Inside, parameters have no ``.grad``. torch's random state comes back too. Hooks are the borrower's to remove, and
    values of parameters and buffers the borrower's to leave alone.
    """
    modes = [(part, part.training) for part in module.modules()]
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    devices = {parameter.device for parameter, _, _ in parameters if parameter.is_cuda}
    with torch.random.fork_rng(devices=list(devices)):
        try:
            for parameter, _, _ in parameters:
                parameter.grad = None
            yield module
        finally:
            for part, training in modes:
                part.training = training
            for parameter, requires_grad, grad in parameters:
                parameter.requires_grad_(requires_grad)
                parameter.grad = grad
