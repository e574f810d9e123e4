"""Options of the user's own model."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from xaitool import config


class Config(config.Config):
    """A model that Python code makes; it is executed only where the recipe is trusted."""

    target: config.CodeName = Field(
        description="What makes it, as package.module:function (or a class, or a module that is made already). It is "
        "called with num_classes and input_size where it has arguments of these names. It takes --allow-code."
    )
    arguments: dict[str, Any] = Field({}, description="More arguments to call it with.")
    folder: config.UserPath = Field(
        ".", description="Where its package is looked for, before all that is installed; '.': the recipe's folder."
    )
    checkpoint: config.UserPath | None = Field(
        None, description="Weights to start from: a safetensors file, one of torch.save, or a run's folder."
    )
    cam_layers: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers for CAM methods, from input to output; left out: found by running it."
    )
