"""The explainers that a user asks for: by name, with options as in a recipe, or several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xaitool.building import checked, component
from xaitool.contracts import Adjustable, Explainer
from xaitool.engine.seams import Seam
from xaitool.engine.smooth import smoothed
from xaitool.errors import ExplainError
from xaitool.recipe.resolve import OWN_KEYS, Resolved
from xaitool.recipe.schema import SmoothSettings

Method = str | Mapping[str, Any]


def components(methods: Method | Sequence[Method]) -> dict[str, Resolved]:
    """The methods by label, their options checked. Raises ComponentError for an unknown name or a wrong option."""
    given = [methods] if isinstance(methods, str | Mapping) else methods
    if not isinstance(given, Sequence):
        raise ExplainError(f"method should be a name, a mapping such as {{'use': 'gradcam'}}, or a list, not {given!r}")
    if not given:
        raise ExplainError("method is an empty list: name one at least")
    found: dict[str, Resolved] = {}
    for method in given:
        each = _component(method)
        if each.label in found:
            raise ExplainError(f"method '{each.label}' is there twice; tell them apart with 'as', another name for one")
        found[each.label] = each
    return found


def built(component: Resolved, seed: int) -> Explainer:
    """The explainer, smoothed where it is to be. seed: of the noise."""
    explainer = Seam(component).explainer(component.build("explain"))
    return smoothed(explainer, component.smooth, seed) if component.smooth else explainer


def build(component: Resolved, seed: int) -> Explainer:
    """The explainer. Raises ExplainError where it would have to choose a layer, which takes a recipe."""
    explainer = built(component, seed)
    if isinstance(explainer, Adjustable) and explainer.automatic:
        raise ExplainError(
            f"{component.label}: a layer is chosen by measuring (layers: auto) on test images kept apart for it, as "
            "`xaitool run` has them; name the layer here, or leave it out"
        )
    return explainer


def _component(method: Any) -> Resolved:
    if isinstance(method, str):
        return component("explainer", method, {})
    if not isinstance(method, Mapping) or not isinstance(method.get("use"), str):
        raise ExplainError(f"method {method!r} is neither a name nor a mapping such as {{'use': 'gradcam'}}")
    options = {str(key): value for key, value in method.items() if key not in OWN_KEYS["explainer"]}
    label, smooth = method.get("as"), method.get("smooth")
    found = component("explainer", method["use"], options, None if label is None else str(label))
    if smooth is None:
        return found
    return replace(found, smooth=checked(SmoothSettings, smooth, f"explainer '{method['use']}': smooth"))
