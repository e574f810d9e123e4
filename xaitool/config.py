"""The base of all options, the recipe's own and every component's, and types that know which recipe they stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError


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


@dataclass(frozen=True)
class Origin:
    """The recipe that options stand in, as far as a value's meaning depends on it.

    folder_of: an option's name -> the folder from which a relative path given for it starts.
    refusal: why code may not be executed; empty where it may.
    """

    folder_of: Callable[[str], Path]
    refusal: str = ""


def _from_the_recipe(value: str, info: ValidationInfo) -> str:
    origin = info.context
    if not isinstance(origin, Origin) or value.startswith("~") or Path(value).is_absolute():
        return value
    return str(origin.folder_of(info.field_name or "") / value)


def _allowed(value: str, info: ValidationInfo) -> str:
    origin = info.context
    if isinstance(origin, Origin) and origin.refusal:
        raise PydanticCustomError("refused", "{message}", {"message": origin.refusal})
    return value


UserPath = Annotated[str, Field(min_length=1), AfterValidator(_from_the_recipe)]
"""A file's or folder's name; where it is relative, it starts from the recipe's folder. ``~`` stays as it is."""

CodeName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"), AfterValidator(_allowed)]
"""Code to be executed, as ``package.module:attribute``; a recipe may name it only where the user trusts the recipe."""
