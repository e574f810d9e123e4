"""torchvision's data sets and models for xaitool."""

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


@hookimpl
def xaitool_models() -> list[Component]:
    return [
        Component(
            "torchvision",
            config="xaitool_torchvision.config:ModelConfig",
            factory="xaitool_torchvision.models:build",
            summary="torchvision's classifiers by name, with its pretrained weights or yours",
            example={"name": "squeezenet1_1"},
        )
    ]
