"""Learning-rate schedules for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_schedulers() -> list[Component]:
    return [
        Component(
            "lr_finder_onecycle",
            config="xaitool_onecycle.config:LRFinderOneCycleConfig",
            factory="xaitool_onecycle.schedules:LRFinderOneCycle",
            summary="one cycle, its peak found by a learning-rate range test",
        ),
        Component(
            "onecycle",
            config="xaitool_onecycle.config:OneCycleConfig",
            factory="xaitool_onecycle.schedules:OneCycle",
            summary="one cycle with a peak of your own",
            example={"max_lr": 0.1},
        ),
        Component(
            "cosine",
            config="xaitool_onecycle.config:CosineConfig",
            factory="xaitool_onecycle.schedules:Cosine",
            summary="linear warm-up, then half a cosine",
            example={"max_lr": 0.1},
        ),
    ]
