"""Somebody else's plugin: one explainer."""

from __future__ import annotations

from xaitool import Component, hookimpl


@hookimpl
def xaitool_explainers() -> list[Component]:
    return [
        Component(
            "acme_gradient",
            config="acme_vision.config:Config",
            factory="acme_vision.gradient:build",
            summary="the gradient's size, smoothed",
            example={"width": 3},
        )
    ]
