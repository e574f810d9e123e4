"""Components that are wrong in one way each, for the checks of every kind."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field, field_serializer
from torch import nn

from xaitool import Config, ModelBundle


class Right(Config):
    """Options as they should be."""

    size: int = Field(3, description="A number.")


class Silent(Config):
    """An option that nobody describes."""

    size: int = 3


class Part(Config):
    """A part with an option that nobody describes."""

    depth: int = 1


class SilentInside(Config):
    """The same one level down."""

    parts: tuple[Part, ...] = Field((), description="Parts.")


class Lax(Right, extra="ignore"):
    """Options that take anything."""


class NotOurs(BaseModel):
    """Not a xaitool.Config."""

    size: int = Field(3, description="A number.")


class OneWay(Config):
    """Options that do not come back from JSON as they were."""

    size: int = Field(3, description="A number.")

    @field_serializer("size")
    def _lossy(self, size: int) -> int:
        return size + 1


class Explainer:
    def explain(self, subject: Any, images: Any, targets: Any) -> Any: ...


class Unpicklable(Explainer):
    def __init__(self) -> None:
        self.function = lambda: None


def right(_config: Any) -> Any:
    return Explainer()


def unpicklable(_config: Any) -> Any:
    return Unpicklable()


def seeds_torch(_config: Any) -> Any:
    torch.manual_seed(0)
    return Explainer()


def draws_with_numpy(_config: Any) -> Any:
    np.random.rand()
    return Explainer()


def draws_with_python(_config: Any) -> Any:
    random.random()
    return Explainer()


def sets_dtype(_config: Any) -> Any:
    torch.set_default_dtype(torch.float64)
    return Explainer()


def sets_threads(_config: Any) -> Any:
    torch.set_num_threads(3)
    return Explainer()


def right_model(_config: Any, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    module = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_size), num_classes))
    return ModelBundle(module, input_size, ())


def weights_of_its_own(_config: Any, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
    torch.manual_seed(0)
    return right_model(_config, num_classes=num_classes, input_size=input_size)
