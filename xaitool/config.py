"""The base of all options, the recipe's own and every component's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Options of a component: unknown keys are errors, defaults are checked, values are frozen.

    Give every field a ``Field(description=...)``; the description is what ``xaitool`` shows to users.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )
