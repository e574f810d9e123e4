"""Mistakes that only come to light with data and model at hand, told with their place in the recipe all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xaitool.errors import ExplainError, MetricError
from xaitool.recipe.source import Source


@contextmanager
def placed(source: Source, *path: str | int) -> Iterator[None]:
    """Put the place of a key before what is wrong with it: ``file:line:column``, or the override it came from."""
    try:
        yield
    except (ExplainError, MetricError) as error:
        key = ".".join(map(str, path))
        said = str(error).removeprefix(f"{key}: ")
        raise type(error)(f"{source.where(path)}: {key}: {said}") from error
