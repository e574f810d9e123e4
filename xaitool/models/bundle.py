"""A module made into a :class:`~xaitool.contracts.ModelBundle`: tried on images, its layers for CAM found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import ModelBundle
from xaitool.errors import ExplainError, ModelError
from xaitool.layers import find_layers, named_layers


def bundle_of(
    name: str,
    module: nn.Module,
    num_classes: int,
    input_size: tuple[int, int, int],
    cam_layers: Sequence[str] | None = None,
    weights: str = "",
) -> ModelBundle:
    """The bundle of a module that turns images of this size into scores of this many classes.

    name: whose module it is, for errors. cam_layers: by name, from input to output; left out: those with a spatial
    grid, found by running it. weights: where they come from; empty: drawn at random.
    Raises ModelError where the module takes no such images, gives something else, or has no such layers.
    """
    images, logits = _tried(name, module, input_size)
    if not isinstance(logits, Tensor):
        raise ModelError(f"{name} gives a {type(logits).__name__}, not a tensor of N x classes scores")
    if tuple(logits.shape) != (2, num_classes):
        got = " x ".join(map(str, logits.shape))
        raise ModelError(
            f"{name} gives scores of {got} for 2 images; with the data set's {num_classes} classes it should be "
            f"2 x {num_classes}"
        )
    if not logits.isfinite().all():
        raise ModelError(f"{name} gives scores that are NaN or infinite; its weights may be damaged")
    try:
        if cam_layers is None:
            found = [layer.name for layer in find_layers(module, images)][::-1]
        else:
            found = list(named_layers(module, cam_layers))
    except ExplainError as error:
        raise ModelError(f"{name}: cam_layers: {error}") from error
    return ModelBundle(module, input_size, tuple(found), weights)


def _tried(name: str, module: nn.Module, input_size: tuple[int, int, int]) -> tuple[Tensor, Any]:
    """Two images of noise, and what the module makes of them."""
    try:
        images = torch.randn(2, *input_size, generator=Generator().manual_seed(0))
        with borrowed(module), torch.no_grad():
            return images, module.eval()(images)
    except Exception as error:  # a module that is not ours may raise anything at images it does not take, and torch
        # at images that no memory holds
        size = "x".join(map(str, input_size))
        raise ModelError(
            f"{name} takes no images of {size} (channels x height x width): {type(error).__name__}: {error}"
        ) from error
