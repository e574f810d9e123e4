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
import os
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from xaitool.suggest import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

Step = dict[str, dict[str, Any]]

# The engine normalises with the data set's own mean and std, after the pipeline.
_NOT_HERE = frozenset({"Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D"})


def albumentations() -> ModuleType:
    """Import Albumentations without letting it ask the network for a newer version of itself."""
    before = os.environ.get("NO_ALBUMENTATIONS_UPDATE")
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    try:
        import albumentations as module
    finally:
        if before is None:
            del os.environ["NO_ALBUMENTATIONS_UPDATE"]
        else:
            os.environ["NO_ALBUMENTATIONS_UPDATE"] = before
    return module  # type: ignore[no-any-return]


def check(value: Any) -> list[Step]:
    """Validate a pipeline as YAML gives it and return it in its full form; reports all problems at once."""
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("pipeline", "should be a list of Albumentations transforms")
    steps: list[Step] = []
    problems: list[InitErrorDetails] = []
    for index, item in enumerate(value):
        step, found = _check_step(item)
        steps.append(step)
        problems += [_detail(message, (index, *where), item) for where, message in found]
    if problems:
        raise ValidationError.from_exception_data("pipeline", problems)
    return steps


Pipeline = Annotated[list[Step], BeforeValidator(check)]
"""The type of a config field that holds a pipeline."""


def compose(steps: Sequence[Step]) -> Any:
    """Build ``albumentations.Compose`` from a checked pipeline."""
    library = albumentations()
    return library.Compose([_build(name, arguments) for step in steps for name, arguments in step.items()])


def rehearse(pipeline: Any, height: int, width: int) -> None:
    """Run a pipeline once on a grey height×width image.

    Raises ValueError where it fails, or gives anything but a uint8 H×W×3 image.
    """
    image: NDArray[Any] = np.full((height, width, 3), 127, np.uint8)
    try:
        result = pipeline(image=image)["image"]
    except Exception as error:
        raise ValueError(f"the transforms fail on an image of {height}x{width} pixels: {error}") from error
    if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
        raise ValueError(f"the transforms give {result.dtype} {result.shape}, not uint8 of height x width x 3")


def _check_step(item: Any) -> tuple[Step, list[tuple[tuple[str, ...], str]]]:
    """One item of the list in full form, and what is wrong with it as (where in the item, message)."""
    if isinstance(item, str):
        item = {item: {}}
    if not (isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item)), str)):
        return {}, [((), "should be a transform's name, or {Name: {argument: value, ...}}")]
    ((name, arguments),) = item.items()
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        return {}, [((name,), "the arguments of a transform should be a mapping")]
    return {name: arguments}, [((name, *where), message) for where, message in _problems(name, arguments)]


def _problems(name: str, arguments: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    transforms = _transforms()
    if name in _NOT_HERE:
        return [((), "leave it out: images are normalised after the pipeline, with the data set's mean and std")]
    if name not in transforms:
        return [((), f"Albumentations has no transform of this name{did_you_mean(name, transforms)}")]
    known = list(inspect.signature(transforms[name].__init__).parameters)[1:]
    unknown: list[tuple[tuple[str, ...], str]] = [
        ((key,), f"{name} has no such argument{did_you_mean(key, known)}") for key in arguments if key not in known
    ]
    return unknown or _construction_problems(name, arguments)


def _construction_problems(name: str, arguments: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    try:
        _build(name, arguments)
    except ValueError as error:
        cause = error.__cause__ or error.__context__
        if not isinstance(cause, ValidationError):
            return [((), str(error))]
        return [_located(detail, arguments) for detail in cause.errors()]
    except TypeError as error:
        return [((), str(error))]
    return []


def _located(detail: Any, arguments: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    message = detail["msg"].removeprefix("Value error, ")
    return ((key,), message) if key in arguments else ((), f"{key}: {message}".removeprefix(": "))


def _build(name: str, arguments: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated spellings still work, and the arguments are checked above
        return _transforms()[name](**{key: _value(key, value) for key, value in arguments.items()})


def _value(key: str, value: Any) -> Any:
    """OpenCV's constants by their own names (``reflect_101``, ``cubic``); lists as the tuples Albumentations wants."""
    if isinstance(value, str) and ("border_mode" in key or "interpolation" in key):
        import cv2

        prefix = "BORDER_" if "border_mode" in key else "INTER_"
        return getattr(cv2, prefix + value.upper().removeprefix(prefix), value)
    return tuple(value) if isinstance(value, list) else value


def _transforms() -> dict[str, Callable[..., Any]]:
    library = albumentations()
    base = library.BasicTransform
    return {
        name: value
        for name, value in vars(library).items()
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


def _detail(message: str, where: tuple[int | str, ...], value: Any) -> InitErrorDetails:
    # The message goes in as data: a brace in it must not be taken for a placeholder.
    return InitErrorDetails(
        type=PydanticCustomError("transform", "{message}", {"message": message}), loc=where, input=value
    )
