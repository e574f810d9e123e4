"""CIFAR-10 for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_datasets() -> list[Component]:
    return [
        Component(
            "cifar10",
            config="xaitool_cifar10.config:Config",
            factory="xaitool_cifar10.data:build",
            summary="CIFAR-10: 60,000 colour photographs of 32x32 pixels in 10 classes",
        )
    ]
