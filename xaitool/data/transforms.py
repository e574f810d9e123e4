"""Albumentations' transforms: which there are, and pipelines built from them."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Step = dict[str, dict[str, Any]]
"""One transform of a checked pipeline: ``{name: {argument: value, ...}}``."""

# OpenCV's constants, under its names for them in lower case and without BORDER_ and INTER_.
_BORDERS = {"constant": 0, "replicate": 1, "reflect": 2, "wrap": 3, "reflect_101": 4}
_INTERPOLATIONS = {
    "nearest": 0,
    "linear": 1,
    "cubic": 2,
    "area": 3,
    "lanczos4": 4,
    "linear_exact": 5,
    "nearest_exact": 6,
}

# The one transform of our own, which recipes do not name.
ENDS_OFF = "EndsOff"
_FAR_LONGER = 4  # times

_REHEARSALS = 16  # a transform with p: 0.5 is then both applied and left out, but for once in 30,000


def albumentations() -> ModuleType:
    """Import Albumentations without letting it ask the network for a newer version of itself."""
    with _environment_kept():  # OpenCV's import leaves something there, too
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as module
    return module  # type: ignore[no-any-return]


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def compose(steps: Sequence[Step]) -> Any:
    """Build ``albumentations.Compose`` from a checked pipeline."""
    library = albumentations()
    return library.Compose([build(name, arguments) for step in steps for name, arguments in step.items()])


def rehearse(pipeline: Any, *sizes_in: tuple[int, int]) -> tuple[int, int]:
    """Run a pipeline on a grey image of each size (height, width), as often as it takes for what is random to happen.

    Gives the size of what comes out. Raises ValueError where it fails, or gives anything but uint8 H×W×3 images of one
    size.
    """
    sizes = set()
    for height, width in sizes_in:
        image: NDArray[Any] = np.full((height, width, 3), 127, np.uint8)
        for seed in range(_REHEARSALS):
            pipeline.set_random_seed(seed)
            try:
                result = pipeline(image=image)["image"]
            except Exception as error:  # a transform of anybody's may raise anything
                raise ValueError(f"the transforms fail on an image of {height}x{width} pixels: {error}") from error
            if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
                raise ValueError(f"the transforms give {result.dtype} {result.shape}, not uint8 of height x width x 3")
            sizes.add(result.shape[:2])
    if len(sizes) > 1:
        told = ", ".join(sorted("{}x{}".format(*size) for size in sizes)[:3])
        raise ValueError(
            f"the transforms give images of different sizes ({told}, ...), which make no "
            "batch; end them with a crop or a resize that is always applied (p: 1.0)"
        )
    ((height, width),) = sizes
    return height, width


def build(name: str, arguments: dict[str, Any]) -> Any:
    """One transform. Raises whatever its constructor raises."""
    if name == ENDS_OFF:
        return _ends_off()(**arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated spellings still work, and the arguments are checked above
        return transforms()[name](**{key: _value(key, value) for key, value in arguments.items()})


@cache
def _ends_off() -> Callable[..., Any]:
    """A transform that takes off the ends of a picture that is far longer than what is to be cut out of its middle.

    Scaled until it covers that, a picture of 1 x 60,000 pixels would fill gigabytes. Others stay as they are.
    """

    class EndsOff(albumentations().ImageOnlyTransform):  # type: ignore[misc]
        def __init__(self, height: int, width: int) -> None:
            super().__init__(p=1.0)
            self.height = height
            self.width = width

        def apply(self, img: NDArray[Any], **_: Any) -> NDArray[Any]:
            height, width = img.shape[:2]
            rows = _FAR_LONGER * math.ceil(width * self.height / self.width)
            columns = _FAR_LONGER * math.ceil(height * self.width / self.height)
            top, left = max(0, height - rows) // 2, max(0, width - columns) // 2
            return np.ascontiguousarray(img[top : top + rows, left : left + columns])

    return EndsOff


def _value(key: str, value: Any) -> Any:
    """OpenCV's constants by their own names (``reflect_101``, ``cubic``); lists as the tuples Albumentations wants."""
    if isinstance(value, str):
        name = value.lower().removeprefix("cv2.").removeprefix("border_").removeprefix("inter_")
        return constants_for(key).get(name, value)
    return tuple(value) if isinstance(value, list) else value


def constants_for(key: str) -> dict[str, int]:
    """The names of OpenCV's constants that an argument can take."""
    return _BORDERS if "border_mode" in key else _INTERPOLATIONS if "interpolation" in key else {}


def transforms() -> dict[str, Callable[..., Any]]:
    """All of Albumentations' transforms by class name, without the classes that are only there to be derived from."""
    library = albumentations()
    base = library.BasicTransform
    return {
        name: value
        for name, value in vars(library).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and (name == "NoOp" or value.__module__ != base.__module__)
    }
