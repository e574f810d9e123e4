"""Validation with pydantic, told in a recipe's own terms: keys, places and suggestions.

A validator can choose the place of its own error: ``PydanticCustomError("at_key", ...)`` is reported at the key, any
other at the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from xaitool.config import Origin
from xaitool.errors import Problem
from xaitool.recipe.document import dotted
from xaitool.recipe.source import Source
from xaitool.recipe.trust import REFUSAL, trusted
from xaitool.recipe.wording import either, hint, shown, words_for
from xaitool.suggest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]


def validate(model: type[Model], data: Any, source: Source, at: Path = ()) -> tuple[Model | None, list[Problem]]:
    """Validate `data`, which stands in the recipe at path `at`; gives the checked value, or None and all problems."""
    origin = Origin(lambda option: source.folder_at((*at, option)), "" if trusted(source) else REFUSAL)
    try:
        return model.model_validate(data, context=origin), []
    except ValidationError as error:
        return None, list(_problems(model, data, error, source, at))


def _problems(model: type[BaseModel], data: Any, error: ValidationError, source: Source, at: Path) -> Iterable[Problem]:
    for path, among in by_place(error, data):
        yield _problem(model, data, path, among, source, at)


def by_place(error: ValidationError, data: Any) -> Iterator[tuple[Path, list[Any]]]:
    """What pydantic complains of, by its place in the data: the branches of a union each complain of one place.

    Left out is what a list or a mapping is told besides what is wrong within it: that it is too short, as only the
    items that are as they should be are counted; or that it is not the word which could stand there instead.
    """
    details = [(_in_data(detail["loc"], data), detail) for detail in error.errors(include_url=False)]
    for path, group in groupby(details, lambda pair: pair[0]):
        among = [detail for _, detail in group]
        deeper = any(other[: len(path)] == path != other for other, _ in details)
        if not (deeper and among[0]["type"] in ("too_short", "literal_error")):
            yield path, among


def _problem(model: type[BaseModel], data: Any, path: Path, details: list[Any], source: Source, at: Path) -> Problem:
    """What is wrong at one path."""
    first = details[0]
    match first["type"]:
        case "extra_forbidden":
            known = sorted({name for each in _models_at(model, path[:-1], data) for name in _fields(each)})
            return Problem(source.where(at + path), dotted(at + path), "unknown key" + _suggestion(path[-1], known))
        case "missing" if isinstance(first["loc"][-1], int):
            return Problem(source.where_value(at + path), dotted(at + path), "has too few items")
        case "missing":
            return Problem(source.where(at + path), dotted(at + path), "is missing")
        case "union_tag_not_found" | "union_tag_invalid":
            return _untagged(model, data, path, first, source, at)
        case "at_key":
            message = "; ".join(dict.fromkeys(map(words_for, details)))
            return Problem(source.where(at + path), dotted(at + path), message)
    words = either(map(words_for, details))
    message = words + shown(first, words) + next(filter(None, map(hint, details)), "")
    place = source.where_value(at + path) if _exists(path, data) else source.where(at + path)
    return Problem(place, dotted(at + path), message)


def _untagged(model: type[BaseModel], data: Any, path: Path, detail: Any, source: Source, at: Path) -> Problem:
    """A mapping whose ``name`` should say which of several kinds it is, and does not."""
    key = str(detail["ctx"]["discriminator"]).strip("'")
    tags = [str(tag) for each in _models_at(model, path, data) for tag in _tags(each, key)]
    expected = " or ".join(f"'{tag}'" for tag in tags)
    full = (*at, *path, key)
    if detail["type"] == "union_tag_not_found":
        return Problem(source.where(full), dotted(full), f"is missing; it should be {expected}")
    given = detail["input"][key]
    but = f", not '{given}'{did_you_mean(given, tags)}" if isinstance(given, str) else ""
    return Problem(source.where_value(full), dotted(full), f"should be {expected}{but}")


def _suggestion(word: str | int, known: Sequence[str]) -> str:
    return did_you_mean(str(word), known) or (f" (there are {', '.join(known)})" if known else "")


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
    part: Any
    for part in path:
        if not isinstance(data, dict | list | tuple):
            return False
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _models_at(model: type[BaseModel], path: Path, data: Any) -> list[type[BaseModel]]:
    """The models that describe what stands at a path below `model`; where its ``name`` chooses one, that one."""
    models = [model]
    for part in path:
        data = data[part]
        if isinstance(part, str):
            fields = [each.model_fields[part] for each in models if part in each.model_fields]
            models = [found for field in fields for found in _models(field.annotation)]
    chosen = [each for each in models if isinstance(data, dict) and data.get("name") in _tags(each, "name")]
    return chosen or models


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _tags(model: type[BaseModel], key: str) -> tuple[Any, ...]:
    field = model.model_fields.get(key)
    return get_args(field.annotation) if field else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    """All model classes anywhere in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
