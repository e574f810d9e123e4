"""The embedded data set: drawn shapes on cluttered backgrounds, each with the true mask of its object."""

from __future__ import annotations

from collections.abc import Iterable

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_datasets() -> Iterable[Component]:
    """Offer the data set ``shapes``."""
    return [
        Component(
            name="shapes",
            config="xaitool_shapes.config:Config",
            factory="xaitool_shapes.data:build",
            summary="Drawn shapes on cluttered backgrounds, with true object masks; nothing to download.",
        )
    ]
