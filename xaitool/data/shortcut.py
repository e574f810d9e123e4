"""A planted shortcut: a small patch that goes with one class in training, and with none in particular in the test.

A model that learnt the patch instead of the class is one whose truth is known: that it cheats, and where its evidence
lies. Importing this module imports no torch: options are checked with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from xaitool.config import Config
from xaitool.contracts import Images, Masks, Shortcut
from xaitool.suggest import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

Level = Annotated[int, Field(ge=0, le=255)]

# The largest patch, in parts of the image's side: two of them, one in each corner, never touch.
_SMALLEST_PART = 4


class ShortcutConfig(Config):
    """A patch, like a scrap of a chessboard in a corner, that gives one class away."""

    label: str = Field(description="The class that the patch gives away, by name.")
    strength: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Probability that a training image has the patch just where it is of that class; otherwise, as in "
        "the test, a coin decides. 0: the patch says nothing, 1: it says all.",
    )
    size: int = Field(4, ge=1, description="Height and width of the patch, in pixels.")
    colour: tuple[Level, Level, Level] = Field(
        (255, 0, 255),
        description="Its colour: red, green and blue, 0 to 255 each. Every other pixel has the complement, as on a "
        "chessboard.",
    )


def check_shortcut(config: ShortcutConfig, classes: Sequence[str], side: int) -> ShortcutConfig:
    """The same options, checked against the data set's classes and its images' side in pixels.

    Raises ValidationError, at the option that is wrong.
    """
    problems = []
    if config.label not in classes:
        hint = did_you_mean(config.label, classes) or f"; there are {', '.join(classes)}"
        problems.append(_problem("label", config.label, f"there is no class '{config.label}'{hint}"))
    if config.size > side // _SMALLEST_PART:
        most = f"should be at most {side // _SMALLEST_PART}, a quarter of the images' side"
        problems.append(_problem("size", config.size, most))
    if problems:
        raise ValidationError.from_exception_data("shortcut", problems)
    return config


def _problem(option: str, value: str | int, message: str) -> InitErrorDetails:
    # The message goes in as data: a brace in it must not be taken for a placeholder.
    error = PydanticCustomError("shortcut", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=(option,), input=value)


@dataclass(frozen=True, eq=False)
class Patches:
    """Where the patch lies in each of N images, and which of them have it.

    places: N×2, row and column of its upper left pixel. present: N. size: in pixels; colour: 0..255.
    """

    places: NDArray[np.int64]
    present: NDArray[np.bool_]
    size: int
    colour: tuple[int, int, int]

    def __call__(self, index: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Image `index` (H×W×3) as it is to be seen; itself where it has no patch, else a copy."""
        if not self.present[index]:
            return image
        painted = image.copy()
        painted[self._window(index)] = self._checks
        return painted

    def everywhere(self, present: bool) -> Patches:
        """The patch in all images, or in none."""
        return replace(self, present=np.full(len(self.places), present))

    def masks(self, side: int) -> NDArray[np.bool_]:
        """N×side×side: where the patch lies, or would lie."""
        masks = np.zeros((len(self.places), side, side), np.bool_)
        for index, mask in enumerate(masks):
            mask[self._window(index)] = True
        return masks

    def digest(self) -> bytes:
        """Equal where and only where the same is painted on the same images."""
        digest = hashlib.sha256(repr((self.size, self.colour)).encode())
        digest.update(self.places.astype("<i8").tobytes() + self.present.tobytes())
        return digest.digest()

    @cached_property
    def _checks(self) -> NDArray[np.uint8]:
        """Pixels of the colour and of its complement in turn, as in BadNets (Gu et al. 2017, arXiv:1708.06733).

        In a single colour it would be too easily overlooked among shapes of all colours.
        """
        colour = np.array(self.colour, np.uint8)
        odd = np.indices((self.size, self.size)).sum(0) % 2
        return np.where(odd[..., None], 255 - colour, colour)

    def _window(self, index: int) -> tuple[slice, slice]:
        row, column = self.places[index].tolist()
        return slice(row, row + self.size), slice(column, column + self.size)


def plant(
    config: ShortcutConfig, ids: Sequence[str], side: int, seed: int, tied_to: NDArray[np.bool_] | None = None
) -> Patches:
    """Deal the patch to the images named by `ids`, of side×side pixels.

    tied_to: which of them are of the class to give away (training images); left out: half the images get the patch,
    whatever they show (test images). It lies in one of the four corners, at most its own size away from each edge. What
    happens to an image follows from the seed and its id, not from which others there are.
    """
    draws = _uniforms(ids, seed)
    present = draws[:, 0] < 0.5
    if tied_to is not None:
        present = np.where(draws[:, 1] < config.strength, tied_to, present)
    near = (draws[:, 2:4] * (config.size + 1)).astype(np.int64)
    far = side - config.size - near
    return Patches(np.where(draws[:, 4:6] < 0.5, near, far), present, config.size, config.colour)


def shortcut_of(
    config: ShortcutConfig, classes: Sequence[str], patches: Patches, masks: Masks, images: Callable[[Patches], Images]
) -> Shortcut:
    """What a data bundle says of it. patches, masks: of the test images; images: makes these, with given patches."""
    return Shortcut(
        target=list(classes).index(config.label),
        name=config.label,
        strength=config.strength,
        present=patches.present.tolist(),
        masks=masks,
        with_patch=images(patches.everywhere(True)),
        without_patch=images(patches.everywhere(False)),
    )


def _uniforms(ids: Sequence[str], seed: int) -> NDArray[np.float64]:
    """N×6 numbers, even in [0, 1): the same for an id on every machine."""
    words = b"".join(hashlib.blake2b(f"{seed}/shortcut/{name}".encode(), digest_size=24).digest() for name in ids)
    return np.frombuffer(words, "<u4").reshape(len(ids), 6) / 2**32
