"""What ``xaitool plugins show`` tells of a component: its options in words, and how a recipe names it.

The options are read from the config's JSON schema, so that nothing but the config is imported.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from xaitool.component import Kind
from xaitool.plugins import Offer
from xaitool.recipe.scalars import resolve
from xaitool.recipe.wording import words_for

Schema = Mapping[str, Any]

_PLACES: dict[Kind, tuple[str, ...]] = {
    "dataset": ("dataset",),
    "model": ("model",),
    "scheduler": ("train", "scheduler"),
    "explainer": ("explain", "methods"),
    "metric": ("explain", "metrics"),
}
_LISTS: tuple[Kind, ...] = ("explainer", "metric")
_TYPES = {
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "string": ("text", "texts"),
    "boolean": ("true or false", "true or false each"),
    "object": ("mapping", "mappings"),
    "null": ("null", "nulls"),
}
_NO_OPTIONS: Schema = {}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Option:
    """One option. name: dotted where it is part of another; type: in words; default: as a recipe would say it."""

    name: str
    type: str
    default: str
    description: str


def schema(offer: Offer) -> dict[str, Any]:
    """The JSON schema of a component's options. Raises PluginError where the config cannot be had."""
    with offer.blamed("describing its options"):
        return offer.component.load_config().model_json_schema(by_alias=True)  # type: ignore[no-any-return]


def wrong_example(offer: Offer) -> str:
    """What the component's config finds wrong with its example; ``""`` if nothing but options that are left to fill in.

    Raises PluginError where the config cannot be had.
    """
    with offer.blamed("checking its example"):
        try:
            offer.component.load_config().model_validate(dict(offer.component.example))
        except ValidationError as error:
            found = [each for each in error.errors() if each["type"] != "missing" or len(each["loc"]) > 1]
            return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'options'}: {words_for(each)}" for each in found)
    return ""


def options(described: Schema) -> list[Option]:
    """The options that a JSON schema describes; one that is a mapping of options is followed by its own."""
    definitions = described.get("$defs", {})
    top = _followed(described, definitions)
    return list(_options(top, definitions, prefix="", given=None, seen=(top,)))


def description(described: Schema) -> str:
    """What a config's docstring says."""
    return inspect.cleandoc(_followed(described, described.get("$defs", {})).get("description", ""))


def snippet(kind: Kind, name: str, example: Mapping[str, Any], described: Schema = _NO_OPTIONS) -> str:
    """The part of a recipe (YAML) that names a component with the options of its example.

    described: the schema of the options; those that it requires and the example lacks are left to fill in.
    """
    definitions = described.get("$defs", {})
    top = _followed(described, definitions)
    lines = [f"use: {flow(name)}"] + [f"{key}: {flow(value)}" for key, value in example.items()]
    for key in top.get("required", ()):
        if key not in example:
            lines.append(f"{key}:  # fill in: {in_words(top['properties'][key], definitions)}")
    *outer, last = _PLACES[kind]
    text = [f"{'  ' * depth}{key}:" for depth, key in enumerate((*outer, last))]
    margin = "  " * len(text)
    if kind in _LISTS:
        return "\n".join([*text, f"{margin}- {lines[0]}", *(f"{margin}  {line}" for line in lines[1:])])
    return "\n".join([*text, *(margin + line for line in lines)])


def flow(value: Any) -> str:
    """A value (JSON types) in one line of a recipe."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_word(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str():
            return _word(value.replace("$", "$$"))  # a single $ may begin the name of an environment variable
        case _:
            return json.dumps(value)


def _word(text: str) -> str:
    bare = re.fullmatch(r"[A-Za-z][\w.+/-]*", text, re.ASCII) and isinstance(resolve(text), str)
    return text if bare else yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).rstrip("\n")


def in_words(schema: Schema, definitions: Schema, many: bool = False) -> str:
    """A JSON schema's type, as in ``whole number >= 1``; many: of several, as in ``whole numbers >= 1``."""
    schema = _followed(schema, definitions)
    if "const" in schema:
        return _choice(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(_choice, schema["enum"]))
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return " or ".join(dict.fromkeys(in_words(branch, definitions, many) for branch in branches))
    match schema.get("type"):
        case "array":
            return _list_in_words(schema, definitions, many)
        case str(kind):
            return " ".join([_TYPES[kind][many], *_limits(schema)])
        case list(kinds):
            return " or ".join(_TYPES[kind][many] for kind in kinds)
        case _:
            return "anything"


def _choice(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else flow(value)


def _limits(schema: Schema) -> Iterator[str]:
    bounds = [f"{sign} {schema[key]:.15g}" for key, sign in _BOUNDS.items() if key in schema]
    if bounds:
        yield " and ".join(bounds)
    if "multipleOf" in schema:
        yield f"(multiple of {schema['multipleOf']:.15g})"
    if "pattern" in schema:
        yield f"that matches {schema['pattern']}"


def _list_in_words(schema: Schema, definitions: Schema, many: bool) -> str:
    listed = "lists of" if many else "list of"
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f" {least}" if least and least == most else f" at least {least}" if least and least > 1 else ""
    items = schema.get("prefixItems") or [schema.get("items", {})]
    kinds = list(dict.fromkeys(in_words(item, definitions, many=True) for item in items))
    if len(kinds) > 1:
        return f"{listed}{count} items: " + ", ".join(in_words(item, definitions) for item in items)
    return f"{listed}{count} {'items' if kinds == ['anything'] else kinds[0]}"


def _options(
    schema: Schema, definitions: Schema, prefix: str, given: Schema | None, seen: Sequence[Schema]
) -> Iterator[Option]:
    """given: the default values that the option around these has for them."""
    for key, each in schema.get("properties", {}).items():
        values = {**each, "default": given[key]} if given and key in given else each
        nested = _mapping(each, definitions)
        inner = values["default"] if nested and isinstance(values.get("default"), dict) else None
        if "default" in values and inner is None:
            default = flow(values["default"])
        else:  # the defaults of a mapping stand with its own options
            default = "required" if key in schema.get("required", ()) else ""
        yield Option(prefix + key, in_words(each, definitions), default, each.get("description", ""))
        if nested and nested not in seen:  # else a mapping within itself, which has no end
            yield from _options(nested, definitions, f"{prefix}{key}.", inner, (*seen, nested))


def _mapping(schema: Schema, definitions: Schema) -> Schema | None:
    """The mapping of options that an option is, or may be."""
    followed = _followed(schema, definitions)
    if "properties" in followed:
        return followed
    found = [_followed(branch, definitions) for branch in followed.get("anyOf", ())]
    mappings = [branch for branch in found if "properties" in branch]
    return mappings[0] if len(mappings) == 1 else None


def _followed(schema: Schema, definitions: Schema) -> Schema:
    """What a reference stands for."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema
