"""Mistakes that only come to light with data and model at hand, told with their place in the recipe all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xaitool.errors import (
    CheckpointError,
    DataUnavailableError,
    DeviceError,
    ExplainError,
    MetricError,
    ModelError,
    PluginError,
)
from xaitool.recipe.source import Source

# Those that are about what the recipe says, and made of a message alone.
_PLACED = (CheckpointError, DataUnavailableError, DeviceError, ExplainError, MetricError, ModelError, PluginError)


@contextmanager
def placed(source: Source, *path: str | int) -> Iterator[None]:
    """Put the place of a key before what is wrong with it: ``file:line:column``, or the override it came from."""
    try:
        yield
    except _PLACED as error:
        key = ".".join(map(str, path))
        said = str(error).removeprefix(f"{key}: ").removeprefix(f"{key} ")
        told = f"{source.where(path)}: {key}: {said}"
        # Of a class of ours: a plugin's own may want more than a message.
        kind = next(each for each in type(error).__mro__ if each.__module__ == "xaitool.errors")
        raise kind(told) from error
