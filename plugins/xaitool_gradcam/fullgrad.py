"""FullGrad: what the input and every bias of the network contribute to the score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Subject
from xaitool.errors import ExplainError
from xaitool.grid import Grid, grid_of, prefix_tokens
from xaitool_gradcam.config import FullGradConfig
from xaitool_gradcam.forward import check_precision, check_targets
from xaitool_gradcam.maps import enlarged, scaled
from xaitool_gradcam.methods import class_scores


class FullGrad:
    """An explainer (:class:`xaitool.contracts.Explainer`) by FullGrad (Srinivas and Fleuret 2019, arXiv:1905.00780).

    The map sums the sizes of input × gradient and of bias × gradient over all layers whose output is a grid, each
    channel scaled from 0 to 1 by its own extremes, as in pytorch-grad-cam. Beyond that library, linear layers and layer
    norms count as well, so that transformers have more to show than their first convolution.
    """

    def __init__(self, config: FullGradConfig) -> None:
        self.config = config

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :meth:`xaitool.contracts.Explainer.explain`."""
        if targets.shape != (len(images),):
            raise ExplainError(
                f"{len(images)} images need one target each, but the targets have shape {tuple(targets.shape)}"
            )
        if not len(images):
            return images.new_zeros(0, *images.shape[2:])
        check_precision(subject.module)
        size = self.config.batch_size
        with (
            torch.inference_mode(False),
            torch.autocast(images.device.type, enabled=False),
            borrowed(subject.module),
            torch.enable_grad(),
        ):
            subject.module.eval().requires_grad_(False)
            maps = [
                _maps(subject.module, some.detach().clone(), classes.to(images.device, torch.int64, copy=True))
                for some, classes in zip(images.split(size), targets.split(size), strict=True)
            ]
        return torch.cat(maps)


def _maps(module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    with _biases(module, images) as biased:
        logits = module(images.requires_grad_().clone())  # not the leaf, which a layer may not change in place
    check_targets(targets, logits.shape[1])
    outputs = [output for _, output, _ in biased]
    first, *others = torch.autograd.grad(
        class_scores(logits, targets).sum(), [images, *outputs], allow_unused=True, materialize_grads=True
    )
    size = images.shape[2:]
    total = _sizes(images.detach() * first)
    for (bias, _, grid), gradient in zip(biased, others, strict=True):
        total = total + enlarged(_sizes(bias[:, None, None] * grid.view(gradient)), size)
    return scaled(total)


def _sizes(contributions: Tensor) -> Tensor:
    """N×C×h×w to N×h×w: sizes, each channel from 0 to 1, summed."""
    sizes = contributions.abs()
    return scaled(sizes.flatten(0, 1)).view_as(sizes).sum(1)


@contextmanager
def _biases(module: nn.Module, images: Tensor) -> Iterator[list[tuple[Tensor, Tensor, Grid]]]:
    """While the module runs: the bias of each layer, its output in the graph, and the grid of that."""
    found: list[tuple[Tensor, Tensor, Grid]] = []
    prefix = prefix_tokens(module)

    def note(layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        windows = len(output) != len(images)
        bias, grid = _bias(layer), None if windows else grid_of(output, images.shape[2:], prefix)
        if bias is not None and grid and grid.view(output).shape[1] == len(bias):
            found.append((bias, output, grid))
        return output.clone()  # an in-place ReLU that comes next would change whose gradient is found

    hooks = [layer.register_forward_hook(note) for layer in module.modules() if _bias(layer) is not None]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _bias(layer: nn.Module) -> Tensor | None:
    """A layer's bias, C; of a batch norm, all that it adds. A norm that ends with an activation has none to tell."""
    if type(layer) is nn.BatchNorm2d and layer.affine and layer.running_mean is not None:
        spread: Any = layer.running_var
        added: Tensor = layer.bias.detach() - layer.running_mean * layer.weight.detach() / (spread + layer.eps).sqrt()
        return added
    if isinstance(layer, nn.Conv2d | nn.Linear | nn.LayerNorm) and layer.bias is not None:
        return layer.bias.detach()
    return None
