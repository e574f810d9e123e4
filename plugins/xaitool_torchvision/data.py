"""A torchvision data set as a :class:`~xaitool.contracts.DataBundle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xaitool.contracts import DataBundle
from xaitool.data.assemble import Split, assembled
from xaitool.data.decode import to_rgb
from xaitool.data.pictures import Size, extremes
from xaitool.data.scan import listing, look_through
from xaitool.errors import DataUnavailableError, ImageError
from xaitool_torchvision.config import DataConfig
from xaitool_torchvision.sources import SOURCES, classes_of, files_of, labels_of, opened


class Opened:
    """Pictures of a torchvision data set. name: what to call it in errors."""

    def __init__(self, data: Any, name: str, sizes: Sequence[Size] = ()) -> None:
        self._data = data
        self._name = name
        self._extremes = extremes(sizes)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        """Raises ImageError where it cannot be read."""
        try:
            return to_rgb(self._data[index][0])
        except (OSError, SyntaxError, ValueError) as error:  # as Pillow says that a file is broken
            raise ImageError(f"{self._name}/{index:05d}", str(error)) from error

    def extremes(self) -> Sequence[Size]:
        """The smallest and the largest, in height, width and the ratio of the two."""
        return self._extremes


def build(config: DataConfig, *, seed: int) -> DataBundle:
    """The data set as torchvision has it, fetched where need be. Raises DataUnavailableError."""
    source = SOURCES[config.name]
    train, classes = _split(config, "train", source.train)
    test, _ = _split(config, "test", source.test)
    return assembled("torchvision", config, train, test, classes, seed)


def _split(config: DataConfig, which: str, arguments: Mapping[str, Any]) -> tuple[Split, tuple[str, ...]]:
    root = Path(config.root).expanduser()
    data = opened(config.name, root, config.download, arguments)
    classes, labels = classes_of(data, SOURCES[config.name]), labels_of(data)
    if len(labels) != len(data) or not len(labels) or labels.min() < 0 or labels.max() >= len(classes):
        raise DataUnavailableError(
            f"dataset torchvision: the {which} labels of {config.name} in {root} are damaged: there should be one for "
            f"each of {len(data):,} images, from 0 to {len(classes) - 1}"
        )
    state = f"torchvision {config.name} {sorted(arguments.items())} {listing(root, files_of(data, root))}"
    looks = look_through(state, len(data), Opened(data, which).__getitem__)
    unread = [f"{which}/{index:05d}: {look.reason}" for index, look in enumerate(looks) if look.reason]
    if unread:
        raise DataUnavailableError(
            f"dataset torchvision: {len(unread):,} images of {config.name} in {root} cannot be read; {unread[0]}. "
            "Delete its files to have them fetched again"
        )
    ids = [f"{which}/{index:05d}" for index in range(len(data))]
    pictures = Opened(data, which, [look.size for look in looks])
    return Split(pictures, labels, ids, [look.digest for look in looks]), classes
