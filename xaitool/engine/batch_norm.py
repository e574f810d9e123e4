"""Batch norm over the batch of all processes, on every device: torch's own SyncBatchNorm computes on GPUs only.

Nothing in a module is exchanged for it: while it is in force, the function that every batch norm calls does otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from xaitool.engine.processes import Processes


class BatchNormOfAll(TorchFunctionMode):
    """In here, batch norm in training takes mean and variance over the images of all processes.

    counts: whether the images at hand are part of the batch; where they are not, they are normalised all the same.
    """

    def __init__(self, processes: Processes, counts: Callable[[], bool]) -> None:
        super().__init__()
        self.processes = processes
        self.counts = counts

    def __torch_function__(
        self,
        function: Any,
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch instead of each of its functions."""
        named = named or {}
        if function is F.batch_norm:
            return self._batch_norm(*arguments, **named)
        return function(*arguments, **named)

    def _batch_norm(
        self,
        values: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """See :func:`torch.nn.functional.batch_norm`."""
        if not training:
            return F.batch_norm(values, running_mean, running_var, weight, bias, False, momentum, eps)
        normalised, mean, variance, count = _Normalise.apply(values, weight, bias, eps, self.processes, self.counts())
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.mul_(1 - momentum).add_(momentum * mean)
                running_var.mul_(1 - momentum).add_(momentum * variance * (count / (count - 1)).to(variance.dtype))
        return normalised  # type: ignore[no-any-return]


class _Normalise(Function):
    """(values - mean) / sqrt(variance + eps) * weight + bias, by channel; and mean, variance and count of the whole.

    Sums are added up in float64: the variance is a difference of two of them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        processes: Processes,
        counts: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels, here = values.shape[1], values.numel() // values.shape[1] * counts
        variance, mean = (
            each.double() for each in torch.var_mean(_precise(values), _all_but_channels(values), correction=0)
        )
        sums = processes.add(here * torch.cat([mean, variance + mean.square(), mean.new_ones(1)]))
        count = sums[-1]
        mean, square = (sums[:-1] / count).split(channels)
        variance = (square - mean.square()).clamp(min=0)
        kind = _precise(values).dtype
        ctx.save_for_backward(values, weight, mean.to(kind), (variance + eps).rsqrt().to(kind), count)
        ctx.processes, ctx.counts, ctx.biased = processes, counts, bias is not None
        mean, variance = mean.to(kind), variance.to(kind)
        ctx.mark_non_differentiable(mean, variance, count)
        return F.batch_norm(values, mean, variance, weight, bias, False, 0.0, eps), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_of_statistics: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, scale, count = ctx.saved_tensors
        shape = [1, -1, *[1] * (values.ndim - 2)]
        over, gradient_of = _all_but_channels(values), _precise(gradient)
        normalised = (_precise(values) - mean.view(shape)) * scale.view(shape)
        of_bias, of_weight = gradient_of.sum(over), (gradient_of * normalised).sum(over)
        # What mean and variance, which are everybody's, owe to the gradients of all.
        owed = ctx.processes.add(torch.cat([of_bias, of_weight]).double())
        by_mean, by_variance = ((owed / count).to(mean.dtype) * ctx.counts).split(len(mean))
        slope = scale if weight is None else scale * weight.to(scale.dtype)
        of_values = slope.view(shape) * (gradient_of - by_mean.view(shape) - normalised * by_variance.view(shape))
        return (
            of_values.to(values.dtype),
            None if weight is None else of_weight.to(weight.dtype),
            of_bias if ctx.biased else None,
            None,
            None,
            None,
        )


def _all_but_channels(values: Tensor) -> list[int]:
    return [0, *range(2, values.ndim)]


def _precise(values: Tensor) -> Tensor:
    """In float32 at least, as torch has the statistics of half precision too."""
    return values if values.dtype == torch.float64 else values.float()
