"""Weights out of a file, of whatever layout, without executing anything in it."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from xaitool.errors import CheckpointError

# Where training scripts keep a model's state dict among an optimizer's and the like, the likeliest first.
_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
_NAMED = re.compile(r"GLOBAL (\S+)")  # of code, in what torch says of a pickle
_RUNS_WEIGHTS = "model.safetensors"  # in the folder of a run

# What reading a damaged file raises, by the place of the damage; ValueError and LookupError take in those of encodings.
_DAMAGES = (
    *(SafetensorError, zipfile.BadZipFile, struct.error, zlib.error, OSError, RuntimeError, EOFError, MemoryError),
    *(ValueError, LookupError, TypeError, AssertionError, AttributeError, ImportError, ArithmeticError),
)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file, a file of torch.save, or a run's folder.

    Raises CheckpointError where there is none, or where it would take executing code to read it.
    """
    file = weights_file(path)
    if not file.is_file():
        of_no_run = f": {path} is a folder, but no run's" if path.is_dir() else ""
        raise CheckpointError(f"there is no checkpoint {file}{of_no_run}")
    try:
        return _state(_loaded(file), str(file))
    except pickle.UnpicklingError as error:
        named = _NAMED.search(str(error))  # not all that torch says: it tells how to execute it
        raise CheckpointError(
            f"{file} holds more than tensors{f' ({named[1]})' if named else ''}, or is damaged: reading it could "
            "execute code, so it is not read. Save the weights alone, with torch.save(model.state_dict(), ...) or "
            "safetensors"
        ) from error
    except _DAMAGES as error:
        raise CheckpointError(f"{file} cannot be read as weights: {_first_line(error)}") from error


def weights_file(path: Path) -> Path:
    """The file itself; of a run's folder, the one that has its weights."""
    return path / _RUNS_WEIGHTS if path.is_dir() else path


def _loaded(file: Path) -> Any:
    with file.open("rb") as opened:
        start = opened.read(9)
    # A safetensors file begins with the length of its header, which is JSON.
    if file.suffix == ".safetensors" or start[8:] == b"{":
        return load_file(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other pickle protocols: what torch does not read of them is an error
        return torch.load(file, map_location="cpu", weights_only=True)


def _state(found: Any, name: str) -> dict[str, Tensor]:
    """The mapping of names to tensors, at the top or under one of the usual keys, one within another."""
    inside = found
    while isinstance(inside, Mapping):
        tensors = {str(key): value for key, value in inside.items() if isinstance(value, Tensor)}
        key = next((key for key in _KEYS if isinstance(inside.get(key), Mapping)), None)
        if tensors and key is None:
            return tensors
        if key is None:
            break
        inside = inside[key]
    keys = ", ".join(map(str, list(found)[:8])) if isinstance(found, Mapping) else type(found).__name__
    raise CheckpointError(
        f"{name} holds no state dict, neither at its top nor under {', '.join(_KEYS)}; it holds {keys or 'nothing'}"
    )


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
