"""The user's own model: imported, called, filled and tried."""

from __future__ import annotations

import copy
import inspect
import traceback
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from xaitool.contracts import ModelBundle
from xaitool.errors import ModelError
from xaitool.models.bundle import bundle_of
from xaitool.models.filling import fill
from xaitool.suggest import did_you_mean
from xaitool_python.config import Config
from xaitool_python.importing import importable


def build(config: Config, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    """The module that the target makes. Raises ModelError where it makes none, CheckpointError."""
    name = f"model python: {config.target}"
    # It is tried in here too: what its forward imports lies in the folder as well.
    with importable(Path(config.folder).expanduser(), config.target.partition(":")[0]):
        module = _made(config, {"num_classes": num_classes, "input_size": input_size})
        if config.checkpoint:
            fill(module, config.checkpoint, num_classes)
        return bundle_of(name, module, num_classes, input_size, config.cam_layers, config.checkpoint or "")


def _made(config: Config, known: dict[str, Any]) -> nn.Module:
    module_name, _, attribute = config.target.partition(":")
    try:
        target = reduce(getattr, attribute.split("."), import_module(module_name))
        if isinstance(target, nn.Module):
            made: Any = copy.deepcopy(target)  # the user's own stays as it is
        elif callable(target):
            made = target(**{**_wanted(target, known), **config.arguments})
        else:
            made = target
    except Exception as error:  # it is the user's code, which may raise anything
        raise ModelError(f"model python: {config.target}: {_told(error)}") from error
    if not isinstance(made, nn.Module):
        raise ModelError(f"model python: {config.target} makes a {type(made).__name__}, not a torch.nn.Module")
    return made


def _wanted(target: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that the target has by name."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return {}
    names = {each.name for each in parameters if each.kind not in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL)}
    return {name: value for name, value in known.items() if name in names}


def _told(error: Exception) -> str:
    """The error, and the line of the user's code that raised it."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "importlib" not in each.filename]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames[-1].filename != __file__ else ""
    meant = ""
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        meant = did_you_mean(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    return f"{type(error).__name__}: {error}{where}{meant}"
