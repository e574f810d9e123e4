"""Options of the CAM explainers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from xaitool import config


class Config(config.Config):
    """Options of Grad-CAM and Grad-CAM++."""

    layers: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None,
        min_length=1,
        description="Layers to look at, by module name; the maps of several are averaged. "
        "Left out: the model's last layer with a spatial extent.",
    )
    batch_size: int = Field(64, ge=1, description="Images explained at a time.")
