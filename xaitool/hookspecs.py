"""The whole plugin contract: the hooks a plugin may implement.

A plugin is a module that an entry point in the group ``xaitool`` names. Its hooks return
:class:`~xaitool.component.Component` records; what their factories must return stands in :mod:`xaitool.contracts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from xaitool.component import Component
    from xaitool.engine.folder import RunFolder

hookspec = pluggy.HookspecMarker("xaitool")
hookimpl = pluggy.HookimplMarker("xaitool")


@hookspec
def xaitool_datasets() -> Iterable[Component]:  # type: ignore[empty-body]
    """Data sets: ``factory(config, *, seed) -> DataBundle``."""


@hookspec
def xaitool_models() -> Iterable[Component]:  # type: ignore[empty-body]
    """Models: ``factory(config, *, num_classes, input_size) -> ModelBundle``."""


@hookspec
def xaitool_schedulers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Learning-rate schedules: ``factory(config) -> Scheduler``."""


@hookspec
def xaitool_explainers() -> Iterable[Component]:  # type: ignore[empty-body]
    """Explainers: ``factory(config) -> Explainer``."""


@hookspec
def xaitool_metrics() -> Iterable[Component]:  # type: ignore[empty-body]
    """Measures of an explanation: ``factory(config) -> Metric``."""


@hookspec
def xaitool_stage_finished(run: RunFolder, stage: str, record: Mapping[str, Any]) -> None:
    """Observe a run: `stage` has just finished, `record` holds its figures (JSON types only)."""
