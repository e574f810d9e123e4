"""TensorBoard for xaitool: the curves of a run while it goes on, and its pictures, under ``RUN/tensorboard``.

    pip install 'xaitool[tensorboard]'
    tensorboard --logdir runs

It observes every run once TensorBoard is installed; ``XAITOOL_PLUGINS_DISABLED=xaitool/tensorboard`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from xaitool.hookspecs import hookimpl

if TYPE_CHECKING:
    from xaitool.engine.folder import RunFolder
    from xaitool_tensorboard.events import Events

_open: dict[str, Events] = {}


@hookimpl
def xaitool_run_started(run: RunFolder, recipe: Mapping[str, Any]) -> None:
    if find_spec("tensorboard"):
        from xaitool_tensorboard.events import Events

        _open[str(run)] = Events(run.path / "tensorboard", recipe)


@hookimpl
def xaitool_epoch_finished(run: RunFolder, record: Mapping[str, Any]) -> None:
    if events := _open.get(str(run)):
        events.epoch(record)


@hookimpl
def xaitool_stage_finished(run: RunFolder, stage: str, record: Mapping[str, Any]) -> None:
    if events := _open.get(str(run)):
        events.stage(stage, record)


@hookimpl
def xaitool_run_finished(run: RunFolder, state: str) -> None:
    if events := _open.pop(str(run), None):
        events.end(state, sorted(run.path.glob("figures/*.png")))
