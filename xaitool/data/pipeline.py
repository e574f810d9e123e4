"""Albumentations pipelines as recipes write them: a list of transforms by class name, each with its own arguments.

    augment:
      - RandomCrop: {height: 32, width: 32}
      - HorizontalFlip

A pipeline is checked by building it, so what a recipe may say is exactly what the installed Albumentations takes, and
an unknown transform or argument is reported at its own line and column. Importing this module does not import
Albumentations.
"""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from xaitool.data.transforms import Step, build, constants_for, transforms
from xaitool.suggest import did_you_mean

# The engine normalises with the data set's own mean and std, after the pipeline.
_NOT_HERE = frozenset({"Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D"})


def check(value: Any) -> list[Step]:
    """Validate a pipeline as YAML gives it and return it in its full form; reports all problems at once."""
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("at_value", "should be a list of Albumentations transforms")
    steps: list[Step] = []
    problems: list[InitErrorDetails] = []
    for index, item in enumerate(value):
        step, found = _check_step(item)
        steps.append(step)
        problems += [{**problem, "loc": (index, *problem["loc"])} for problem in found]
    if problems:
        raise ValidationError.from_exception_data("pipeline", problems)
    return steps


_ARGUMENTS = {"type": ["object", "null"]}
_STEP = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _ARGUMENTS}
_AS_WRITTEN = {"type": "array", "items": {"anyOf": [{"type": "string"}, _STEP]}}

Pipeline = Annotated[list[Step], BeforeValidator(check), WithJsonSchema(_AS_WRITTEN)]
"""The type of a config field that holds a pipeline."""


def _check_step(item: Any) -> tuple[Step, list[InitErrorDetails]]:
    """One item of the list in full form, and what is wrong with it, at places within the item."""
    if isinstance(item, str):
        item = {item: {}}
    if not (isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item)), str)):
        return {}, [_at_key("should be a transform's name, or {Name: {argument: value, ...}}")]
    ((name, arguments),) = item.items()
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        return {}, [InitErrorDetails(type="dict_type", loc=(name,), input=arguments)]
    return {name: arguments}, _problems(name, arguments)


def _problems(name: str, arguments: dict[str, Any]) -> list[InitErrorDetails]:
    known_names = transforms()
    if name in _NOT_HERE:
        return [
            _at_key("leave it out: images are normalised after the pipeline, with the data set's mean and std", name)
        ]
    if name not in known_names:
        return [_at_key(f"Albumentations has no transform of this name{did_you_mean(name, known_names)}", name)]
    known = list(inspect.signature(known_names[name].__init__).parameters)[1:]
    unknown = [
        _at_key(f"{name} has no such argument{did_you_mean(str(key), known)}", name, str(key))
        for key in arguments
        if key not in known
    ]
    return unknown or _construction_problems(name, arguments)


def _construction_problems(name: str, arguments: dict[str, Any]) -> list[InitErrorDetails]:
    try:
        build(name, arguments)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises, the arguments are what is wrong
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ValidationError):
            return [_located(detail, name, arguments) for detail in cause.errors(include_url=False)]
        return [_at_key(str(error) or type(error).__name__, name)]
    return []


def _located(detail: Any, name: str, arguments: dict[str, Any]) -> InitErrorDetails:
    """One of Albumentations' own complaints, at the argument that it is about."""
    key = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "missing":
        return InitErrorDetails(type="missing", loc=(name, key), input=arguments)
    if key not in arguments:
        return _at_key(f"{key}: {detail['msg']}".removeprefix(": ").replace("Value error, ", ""), name)
    constants = constants_for(key)
    context = detail.get("ctx", {})
    if constants and detail["type"] == "literal_error":  # it lists OpenCV's numbers
        allowed = re.findall(r"[0-9]+", context["expected"])
        words = ", ".join(f"'{word}'" for word, number in constants.items() if str(number) in allowed)
        context = {"expected": f"one of {words}"}
    return InitErrorDetails(type=detail["type"], loc=(name, key), input=arguments[key], ctx=context)


def _at_key(message: str, *where: str) -> InitErrorDetails:
    """A problem with what is there at all, rather than with its value (see :mod:`xaitool.recipe.validate`)."""
    # The message goes in as data: a brace in it must not be taken for a placeholder.
    return InitErrorDetails(
        type=PydanticCustomError("at_key", "{message}", {"message": message}), loc=where, input=None
    )
