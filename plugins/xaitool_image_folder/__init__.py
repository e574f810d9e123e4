"""Folders of image files for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_datasets() -> list[Component]:
    return [
        Component(
            "image_folder",
            config="xaitool_image_folder.config:Config",
            factory="xaitool_image_folder.data:build",
            summary="your own images: a folder with a folder for each class",
            example={"root": "~/photographs"},
        )
    ]
