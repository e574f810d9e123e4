"""The JSON schema of recipes, for editors: the recipe's own keys, and every component's options under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xaitool.component import Kind
from xaitool.errors import PluginError
from xaitool.plugins import Catalog, Offer, catalog
from xaitool.recipe.resolve import LABELLED
from xaitool.recipe.schema import Settings


def json_schema(warn: Callable[[str], None] = lambda _message: None) -> dict[str, Any]:
    """A JSON schema (draft 2020-12) with all components of the plugins that are installed and whole.

    warn: is told of each component whose options cannot be had; it is left out.
    """
    offers = catalog()
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    slots: list[tuple[Kind, dict[str, Any], str]] = [
        ("dataset", schema, "dataset"),
        ("model", schema, "model"),
        ("scheduler", definitions["TrainSettings"], "scheduler"),
        ("explainer", definitions["ExplainSettings"], "methods"),
        ("metric", definitions["ExplainSettings"], "metrics"),
    ]
    for kind, holder, key in slots:
        definitions[kind] = _any_of(offers, kind, definitions, warn)
        before = holder["properties"][key]
        reference = {"$ref": f"#/$defs/{kind}"}
        described = {"description": before["description"]} if "description" in before else {}
        is_list = before.get("type") == "array"
        holder["properties"][key] = {**described, **({"type": "array", "items": reference} if is_list else reference)}
    for unused in ("ComponentRef", "MethodRef", "ExplainerRef"):
        definitions.pop(unused, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _any_of(offers: Catalog, kind: Kind, definitions: dict[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    """A component of this kind: a bare name, or ``use`` and the options of that name."""
    bare = [offer.component.name for offer in offers.of_kind(kind)]
    whole, described = [], []
    for offer in offers.of_kind(kind):
        try:
            with offer.blamed("describing its options"):
                described.append(_one(offer, bare, definitions))
        except PluginError as error:
            warn(f"{error}; it is left out")
        else:
            whole.append(offer)
    names = [offer.component.name for offer in whole if bare.count(offer.component.name) == 1]
    return {"anyOf": [{"enum": [*names, *(offer.full_name for offer in whole)]}, *described]}


def _one(offer: Offer, bare: list[str], definitions: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = offer.component.load_config().model_json_schema(
        by_alias=True, ref_template="#/$defs/{model}"
    )
    # Nested models of two components may share a name: each gets its component's in front.
    prefix = f"{offer.kind}.{offer.full_name}".replace("/", ".")
    nested = schema.pop("$defs", {})
    text_of = {name: f"{prefix}.{name}" for name in nested}
    definitions.update({text_of[name]: _renamed(body, text_of) for name, body in nested.items()})
    schema = {key: _renamed(value, text_of) for key, value in schema.items()}
    name = offer.component.name
    uses = [name, offer.full_name] if bare.count(name) == 1 else [offer.full_name]
    own: dict[str, Any] = {"use": {"enum": uses, "description": offer.component.summary}}
    if offer.kind in LABELLED:
        own["as"] = {"type": "string", "description": "What to call it in files and figures."}
    if offer.kind == "explainer":
        own["smooth"] = {"anyOf": [{"$ref": "#/$defs/SmoothSettings"}, {"type": "null"}]}
    schema["properties"] = {**own, **schema.get("properties", {})}
    schema["required"] = ["use", *schema.get("required", [])]
    return schema


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            key: f"#/$defs/{names[value.rpartition('/')[2]]}"
            if key == "$ref" and isinstance(value, str) and value.rpartition("/")[2] in names
            else _renamed(value, names)
            for key, value in node.items()
        }
    return [_renamed(item, names) for item in node] if isinstance(node, list) else node
