"""Gradients that are added up over all processes while they are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from xaitool.engine.processes import Processes, in_touch
from xaitool.errors import TrainingError

# Of gradients that are sent at a time: enough for the network to be used well, little enough to be on its way early.
_BYTES = 25 * 2**20


class Gradients:
    """Adds up the gradients of a module, which is the same in all processes, in buckets, from its last parameter on.

    Each bucket is sent as soon as it is full, while the gradients before it are still being computed. torch's
    DistributedDataParallel does the same, but wants to know beforehand whether parameters go without a gradient.
    """

    def __init__(self, module: nn.Module, processes: Processes) -> None:
        self.group = processes.gradients
        with in_touch():
            for value in (*module.parameters(), *module.buffers()):
                distributed.broadcast(value.detach(), src=0)
        self.buckets = _buckets([each for each in module.parameters() if each.requires_grad])
        self.bucket_of = {id(parameter): bucket for bucket in self.buckets for parameter in bucket.parameters}
        self.sent = 0
        self.hooks = [
            parameter.register_post_accumulate_grad_hook(self._arrived)
            for bucket in self.buckets
            for parameter in bucket.parameters
        ]

    def finish(self) -> None:
        """After each backward pass: send what is left, and wait until all gradients are everybody's."""
        while self.sent < len(self.buckets):
            self._send()
        for bucket in self.buckets:
            bucket.take()
        self.sent = 0

    def release(self) -> None:
        """Leave the module as it was."""
        for hook in self.hooks:
            hook.remove()

    def _arrived(self, parameter: Tensor) -> None:
        bucket = self.bucket_of[id(parameter)]
        if bucket.work is not None:
            raise TrainingError(
                "a parameter has got another part of its gradient after the first was sent to the other processes, as "
                "with activation checkpointing that is reentrant; use_reentrant=False does without"
            )
        bucket.missing.discard(id(parameter))
        while self.sent < len(self.buckets) and not self.buckets[self.sent].missing:
            self._send()

    def _send(self) -> None:
        self.buckets[self.sent].send(self.group)
        self.sent += 1


class _Bucket:
    """Some parameters of one type, on one device; missing: the ids of those without a gradient."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.missing = set(map(id, parameters))
        self.flat = torch.empty(0)
        self.work: Any = None

    def send(self, group: Any) -> None:
        """What has no gradient here may have one elsewhere: with each goes a one where there is, else a zero."""
        first = self.parameters[0]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in self.parameters]
        there = torch.tensor([float(each.grad is not None) for each in self.parameters]).to(first)
        self.flat = torch.cat([*(each.reshape(-1) for each in gradients), there])
        with in_touch():
            self.work = distributed.all_reduce(self.flat, group=group, async_op=True)

    def take(self) -> None:
        """Wait, and put the sums into place."""
        with in_touch():
            self.work.wait()
        count = len(self.parameters)
        *sums, there = self.flat.split([*(each.numel() for each in self.parameters), count])
        for number, (parameter, total) in enumerate(zip(self.parameters, sums, strict=True)):
            if parameter.grad is not None:
                parameter.grad.copy_(total.view_as(parameter))
            elif bool(there[number]):
                parameter.grad = total.view_as(parameter).clone()
        self.missing, self.work = set(map(id, self.parameters)), None


def _buckets(parameters: list[nn.Parameter]) -> list[_Bucket]:
    """From the last parameter to the first, as their gradients come."""
    buckets: list[list[nn.Parameter]] = []
    size = 0
    for parameter in reversed(parameters):
        bytes_of = parameter.numel() * parameter.element_size()
        alike = buckets and (buckets[-1][0].dtype, buckets[-1][0].device) == (parameter.dtype, parameter.device)
        if not alike or size + bytes_of > _BYTES:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += bytes_of
    return [_Bucket(each) for each in buckets]
