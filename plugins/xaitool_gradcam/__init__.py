"""Grad-CAM and its kin, on pytorch-grad-cam, for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_explainers() -> list[Component]:
    return [
        Component(
            "gradcam",
            config="xaitool_gradcam.config:Config",
            factory="xaitool_gradcam.explainers:build_gradcam",
            summary="Grad-CAM (Selvaraju 2017): activations weighted by their mean gradient",
        ),
        Component(
            "gradcam++",
            config="xaitool_gradcam.config:Config",
            factory="xaitool_gradcam.explainers:build_gradcam_plus_plus",
            summary="Grad-CAM++ (Chattopadhyay 2018): gradients weighted pixel by pixel",
        ),
    ]
