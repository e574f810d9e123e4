"""A module made into a :class:`~xaitool.contracts.ModelBundle`: tried on images, and its layers for CAM looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import ModelBundle
from xaitool.errors import ExplainError, ModelError
from xaitool.layers import named_layers


def bundle_of(
    name: str,
    module: nn.Module,
    num_classes: int,
    input_size: tuple[int, int, int],
    cam_layers: Sequence[str] | None = None,
    weights: str = "",
    advice: str = "",
) -> ModelBundle:
    """The bundle of a module that turns images of this size into scores of this many classes.

    name: whose module it is, for errors. cam_layers: by name, from input to output; left out: the engine finds those
    with a spatial grid, on real images. weights: where they come from; empty: drawn at random. advice: what to do where
    it takes no such images.
    Raises ModelError where the module takes no such images, gives something else, or has no such layers.
    """
    logits = _tried(name, module, input_size, advice)
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
        chosen = tuple(named_layers(module, cam_layers or ()))
    except ExplainError as error:
        raise ModelError(f"{name}: cam_layers: {error}") from error
    return ModelBundle(module, input_size, chosen, weights)


def _tried(name: str, module: nn.Module, input_size: tuple[int, int, int], advice: str) -> Any:
    """What the module makes of two images of noise."""
    try:
        images = torch.randn(2, *input_size, generator=Generator().manual_seed(0))
        with borrowed(module), torch.no_grad():
            return module.eval()(images)
    except Exception as error:  # a module that is not ours may raise anything at images it does not take, and torch
        # at images that no memory holds
        size = "x".join(map(str, input_size))
        raise ModelError(
            f"{name} takes no images of {size} (channels x height x width): {type(error).__name__}: {error}{advice}"
        ) from error
