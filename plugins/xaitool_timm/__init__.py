"""Networks from timm for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_models() -> list[Component]:
    return [
        Component(
            "resnet18",
            config="xaitool_timm.config:ResNet18Config",
            factory="xaitool_timm.models:build_resnet18",
            summary="ResNet-18, with a stem for small (cifar) or large (imagenet) images",
        ),
        Component(
            "timm",
            config="xaitool_timm.config:TimmConfig",
            factory="xaitool_timm.models:build_timm",
            summary="any timm model by name; ResNets of any depth and width",
            example={"name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [16, 32, 64, 128]},
        ),
    ]
