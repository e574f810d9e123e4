"""Validation with pydantic, told in a recipe's own terms: keys, places and suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from xaitool.errors import Problem
from xaitool.recipe.source import Source
from xaitool.suggest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]


def validate(model: type[Model], data: Any, source: Source, at: Path = ()) -> tuple[Model | None, list[Problem]]:
    """Validate `data`, which stands in the recipe at path `at`; gives the checked value, or None and all problems."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(model, data, detail, source, at) for detail in error.errors(include_url=False)]


def dotted(path: Sequence[str | int]) -> str:
    """``explain.methods.0.layers``, as ``--set`` takes it."""
    return ".".join(map(str, path))


def _problem(model: type[BaseModel], data: Any, detail: Any, source: Source, at: Path) -> Problem:
    path = _in_data(detail["loc"], data)
    match detail["type"]:
        case "extra_forbidden":
            known = _fields_at(model, path[:-1], data)
            return Problem(source.where(at + path), dotted(at + path), "unknown key" + _suggestion(path[-1], known))
        case "missing":
            return Problem(source.where(at + path), dotted((*at, *path)), "is missing")
        case "union_tag_invalid" | "union_tag_not_found":
            path = (*path, "name")
            message = f"should be one of {detail['ctx'].get('expected_tags', 'sgd, adamw')}"
        case "literal_error":
            message = f"should be {detail['ctx']['expected']}{did_you_mean(str(detail['input']), _words(detail))}"
        case _:
            message = _sentence(detail["msg"])
    place = source.where_value(at + path) if _exists(path, data) else source.where(at + path)
    return Problem(place, dotted(at + path), message + _shown(detail))


def _suggestion(word: str | int, known: Sequence[str]) -> str:
    return did_you_mean(str(word), known) or (f" (there are {', '.join(known)})" if known else "")


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _shown(detail: Any) -> str:
    """The value that was given, where it is short and the message does not speak of it."""
    value = detail["input"]
    if detail["type"] in ("transform", "pipeline") or not isinstance(value, str | int | float | bool | type(None)):
        return ""
    text = "null" if value is None else repr(value)
    return f", not {text}" if len(text) < 60 and text not in detail["msg"] else ""


def _words(detail: Any) -> list[str]:
    return [word.strip("' ") for word in detail["ctx"]["expected"].replace(" or ", ",").split(",")]


def _in_data(location: Sequence[str | int], data: Any) -> Path:
    """Pydantic's location without the parts that name a branch of a union rather than a key of the data."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if _exists((part,), data):
            data = data[part]
            path.append(part)
        elif last and isinstance(data, dict):
            path.append(part)  # a key that is missing
    return tuple(path)


def _exists(path: Path, data: Any) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _fields_at(model: type[BaseModel], path: Path, data: Any) -> list[str]:
    """The keys that are known at a path below `model`."""
    candidates: list[Any] = [model]
    for part in path:
        data = data[part]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        steps: list[Any] = []
        for candidate in found:
            field = candidate.model_fields.get(str(part))
            steps += _models(field.annotation) if field else []
        candidates = steps or candidates if isinstance(part, int) else steps
    models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    tagged = [m for m in models if isinstance(data, dict) and "name" in data and data["name"] in _tags(m)]
    return sorted({field.alias or name for m in tagged or models for name, field in m.model_fields.items()})


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("name")
    return get_args(field.annotation) if field else ()


def _models(annotation: Any) -> list[Any]:
    """All model classes anywhere in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
