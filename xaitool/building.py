"""Building one component by name, for programs."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from xaitool.component import Kind
from xaitool.errors import ComponentError
from xaitool.plugins import catalog


def build(kind: Kind, name: str, /, *, given: dict[str, Any] | None = None, **options: Any) -> Any:
    """The component `name` of a kind, with options as in a recipe.

        explainer = xaitool.build("explainer", "gradcam", layers=["layer4"])
        data = xaitool.build("dataset", "shapes", given={"seed": 1}, train=500)

    given: what the kind's factory needs besides its options (see :mod:`xaitool.hookspecs`).
    Raises ComponentError for an unknown name or wrong options.
    """
    offer = catalog().find(kind, name)
    try:
        config = offer.component.load_config()(**options)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc'])) or name}: {each['msg']}" for each in error.errors())
        raise ComponentError(f"{kind} '{name}': {problems}") from error
    return offer.build(config, "build", **(given or {}))
