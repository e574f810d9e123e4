"""Options of the CAM explainers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xaitool import config

Name = Annotated[str, Field(min_length=1)]


class Config(config.Config):
    """Options of the methods that look at layers."""

    layers: Literal["auto"] | Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        None,
        description="Layers to look at, by module name; the maps of several are averaged. auto: of the model's own, "
        "the one whose maps are the most faithful to this model on these data. Left out: the last of the model's own.",
    )
    batch_size: int = Field(32, ge=1, description="Images explained at a time.")


class FullGradConfig(config.Config):
    """Options of FullGrad, which looks at all layers."""

    batch_size: int = Field(16, ge=1, description="Images explained at a time; the whole network's outputs are kept.")
