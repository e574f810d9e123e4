"""Building torchvision's classifiers."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

import torchvision
from torch import Tensor, nn

from xaitool.contracts import ModelBundle
from xaitool.errors import DataUnavailableError, ModelError
from xaitool.models.bundle import bundle_of
from xaitool.models.filling import fill
from xaitool.suggest import did_you_mean
from xaitool_torchvision.config import ModelConfig


def build(config: ModelConfig, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    """The classifier, for these classes and images. Raises ModelError, CheckpointError, DataUnavailableError."""
    known = torchvision.models.list_models(module=torchvision.models)
    if config.name not in known:
        raise ModelError(f"torchvision has no classifier '{config.name}'{did_you_mean(config.name, known)}")
    module = _created(config.name, num_classes, input_size)
    if config.weights:
        _start_from(module, config.name, config.weights, num_classes)
    if config.checkpoint:
        fill(module, config.checkpoint, num_classes)
    name = f"model torchvision: {config.name}"
    weights = config.checkpoint or config.weights or ""
    return bundle_of(name, module, num_classes, input_size, config.cam_layers, weights)


def _created(name: str, num_classes: int, input_size: tuple[int, int, int]) -> nn.Module:
    channels, height, width = input_size
    if channels != 3:
        raise ModelError(f"torchvision's classifiers take images of 3 channels, and these have {channels}")
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Auxiliary logits make training give tuples. Their published weights want channels scaled in the model, where
        # torchvision does so with published weights only; here it is always, so that a run's own weights fit as well.
        more = {"aux_logits": False, "init_weights": True, "transform_input": True}
    elif name.startswith("vit_"):
        more = {"image_size": width}
    elif name.startswith("maxvit"):
        more = {"input_size": (height, width)}
    try:
        module: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **more)
    except Exception as error:  # torchvision and torch raise anything at sizes that do not divide
        size = f"{height}x{width}"
        raise ModelError(f"torchvision cannot make '{name}' for images of {size}: {error}") from error
    return module


def _start_from(module: nn.Module, name: str, wanted: str, num_classes: int) -> None:
    """Fill the module with pretrained weights, all but a head that is for other classes."""
    there = torchvision.models.get_model_weights(name).__members__
    if wanted not in there:
        hint = did_you_mean(wanted, [*there]) or f"; there are {', '.join(there) or 'none'}"
        raise ModelError(f"torchvision has no weights '{wanted}' for '{name}'{hint}")
    try:
        state = there[wanted].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataUnavailableError(
            f"the weights {wanted} of '{name}' could not be fetched ({error}); leave weights out to start from random "
            "ones, or run once where there is a network so that they are in torch's cache"
        ) from error
    own = module.state_dict()
    head = {key for key in own.keys() & state.keys() if _other_classes(own[key], state[key], num_classes)}
    # Auxiliary classifiers are for training from scratch; here there are none.
    used = {key: value for key, value in state.items() if key not in head and not key.lower().startswith("aux")}
    try:
        misfit = module.load_state_dict(used, strict=False)
    except RuntimeError as error:
        raise ModelError(f"the weights {wanted} of '{name}' are for images of another size: {error}") from error
    if misfit.unexpected_keys or set(misfit.missing_keys) - head:
        raise ModelError(f"the weights {wanted} are not those of '{name}': {misfit}")


def _other_classes(own: Tensor, given: Tensor, num_classes: int) -> bool:
    return own.shape != given.shape and own.shape[:1] == (num_classes,) and own.shape[1:] == given.shape[1:]
