"""The whole plugin contract: the hooks a plugin may implement.

A plugin is a module that an entry point in the group ``xaitool`` names. Its hooks return
:class:`~xaitool.component.Component` records; what their factories must return stands in :mod:`xaitool.contracts`.

How the contract changes: a hook may be given new arguments at any time (an implementation names those it wants); one
that is to go is first marked ``warn_on_impl`` or ``warn_on_impl_args``, and ``xaitool plugins list`` shows the warning.
Anything else raises `API_VERSION`. A plugin that needs a certain version says so: ``xaitool_api_version = 1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from xaitool.component import Component
    from xaitool.contracts import ReportSection
    from xaitool.engine.folder import RunFolder
    from xaitool.results import Run

# The version of this contract, and the versions that plugins may be written for.
API_VERSION = 1
SUPPORTED_API_VERSIONS = range(1, API_VERSION + 1)

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
def xaitool_run_started(run: RunFolder, recipe: Mapping[str, Any]) -> None:
    """Observe a run: it begins, or goes on after an interruption; `recipe` is the resolved one, as plain data."""


@hookspec
def xaitool_epoch_finished(run: RunFolder, record: Mapping[str, Any]) -> None:
    """Observe a run: an epoch of training has finished; `record` is its line of ``history.jsonl``."""


@hookspec
def xaitool_stage_finished(run: RunFolder, stage: str, record: Mapping[str, Any]) -> None:
    """Observe a run: `stage` has just finished; `record` holds its figures (JSON types only)."""


@hookspec
def xaitool_run_finished(run: RunFolder, state: str, error: str | None) -> None:
    """Observe a run: it has ended; `state` is ``finished``, ``failed`` or ``interrupted``, `error` says why."""


@hookspec
def xaitool_report_sections(run: Run) -> Iterable[ReportSection]:  # type: ignore[empty-body]
    """Add sections to the report of `run`, which may have been made long ago: there is its folder, and no more."""
