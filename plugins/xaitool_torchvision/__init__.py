"""torchvision's data sets for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_datasets() -> list[Component]:
    return [
        Component(
            "torchvision",
            config="xaitool_torchvision.config:DataConfig",
            factory="xaitool_torchvision.data:build",
            summary="torchvision's data sets by name: CIFAR100, MNIST, SVHN, Flowers102, OxfordIIITPet and more",
            example={"name": "CIFAR100"},
        )
    ]
