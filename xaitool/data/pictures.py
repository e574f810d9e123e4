"""Images that are decoded when they are asked for, so that a data set need not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xaitool.data.decode import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width, in pixels."""


class Pictures(Protocol):
    """A sequence of images: item i is H×W×3 uint8, and H and W may be others for each."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[Any]: ...

    def extremes(self) -> Sequence[Size]:
        """Sizes that stand for those of all images, for trying transforms on: the smallest, the widest, ..."""


class ImageFiles:
    """Pictures in files below a folder. names: relative to it; sizes: of each."""

    def __init__(self, folder: Path, names: Sequence[str], sizes: Sequence[Size]) -> None:
        self._folder = folder
        self._names = names
        self._extremes = extremes(sizes)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Any:
        """Decode one. Raises ImageError where the file has been taken away or damaged since it was looked at."""
        return decode(self._folder / self._names[index])

    def extremes(self) -> Sequence[Size]:
        """The smallest and the largest, in height, width and the ratio of the two."""
        return self._extremes


def extremes(sizes: Sequence[Size]) -> list[Size]:
    """Those of the sizes that are least or greatest in height, width or height by width; each once."""
    different = sorted(set(sizes))
    measures = (lambda size: size[0], lambda size: size[1], lambda size: size[0] / size[1])
    return sorted({pick(different, key=measure) for measure in measures for pick in (min, max)}) if different else []
