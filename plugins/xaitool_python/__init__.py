"""The user's own PyTorch model for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_models() -> list[Component]:
    return [
        Component(
            "python",
            config="xaitool_python.config:Config",
            factory="xaitool_python.model:build",
            summary="your own nn.Module, by the Python function or class that makes it",
            example={"target": "torchvision.models:squeezenet1_1", "arguments": {"num_classes": 4}},
        )
    ]
