"""Building one component by name, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xaitool.component import KINDS, Kind
from xaitool.config import Origin
from xaitool.errors import ComponentError
from xaitool.plugins import catalog
from xaitool.recipe.resolve import Resolved
from xaitool.recipe.validate import by_place
from xaitool.recipe.wording import either, hint, words_for
from xaitool.suggest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def build(kind: Kind, name: str, /, *, given: dict[str, Any] | None = None, **options: Any) -> Any:
    """The component `name` of a kind, with options as in a recipe.

        explainer = xaitool.build("explainer", "gradcam", layers=["layer4"])
        data = xaitool.build("dataset", "shapes", given={"seed": 1}, train=500)

    given: what the kind's factory needs besides its options (see :mod:`xaitool.hookspecs`).
    Raises ComponentError for an unknown name or wrong options.
    """
    return component(kind, name, options).build("build", **(given or {}))


def component(
    kind: Kind, name: str, options: Mapping[str, Any], label: str | None = None, *, refusal: str = ""
) -> Resolved:
    """The component `name` of a kind with its options checked, not built yet. Raises as :func:`build` does.

    refusal: why options may not name code to be executed; empty where they may.
    """
    if kind not in KINDS:
        raise ComponentError(f"there is no kind '{kind}'{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
    offer = catalog().find(kind, name)
    with offer.blamed("build"):
        model = offer.component.load_config()
    return Resolved(offer, checked(model, options, f"{kind} '{name}'", refusal), label or offer.component.name)


def checked(model: type[Model], options: Any, what: str, refusal: str = "") -> Model:
    """Options as a model has them. what: to call them in errors. Raises ComponentError with all that is wrong."""
    given = dict(options) if isinstance(options, Mapping) else options
    try:
        return model.model_validate(given, context=Origin(lambda _: Path(), refusal) if refusal else None)
    except ValidationError as error:
        problems = "; ".join(_told(*each, model) for each in by_place(error, given))
        raise ComponentError(f"{what}: {problems}") from error


def _told(path: tuple[str | int, ...], details: list[Any], model: type[Any]) -> str:
    """What is wrong at one place, in the words of a recipe's check."""
    option = ".".join(map(str, path))
    if details[0]["type"] == "extra_forbidden":
        known = [field.alias or key for key, field in model.model_fields.items()]
        there = f" (there are {', '.join(known) or 'none'})"
        return f"{option}: unknown option{did_you_mean(option, known) or there}"
    hints = next(filter(None, map(hint, details)), "")
    return f"{option}: {either(map(words_for, details))}{hints}".removeprefix(": ")
