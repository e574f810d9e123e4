"""What came of explaining some images: maps, pictures, files, and whether to believe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xaitool.api.html import as_html
from xaitool.api.images import Images
from xaitool.api.saving import Row, picture, save_pair, table
from xaitool.contracts import Explainer, Subject
from xaitool.errors import ExplainError, FolderError
from xaitool.files import filename, write_whole
from xaitool.suggest import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xaitool.api.verdicts import Verdicts

# Images that a notebook shows of an explanation, and that a plot takes, unless told otherwise.
_SHOWN = 12

Maps = NDArray[np.float32]


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """Explanations of N images. ``xaitool.explain`` makes them.

    logits: N×classes. targets: the class that was explained in each, N int64. classes: their names. maps_by_method:
    N×H×W float32 by the method's label; larger means more evidence for the target. layers: what each method that looks
    at a layer looked at, and its grid: ``{"gradcam": "layer4 (7x7)"}``. notes: what a reader should know of them.
    """

    subject: Subject
    images: Images
    logits: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    explainers: Mapping[str, Explainer]
    maps_by_method: Mapping[str, Maps]
    one: bool = True
    layers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def methods(self) -> tuple[str, ...]:
        """The labels of the methods."""
        return tuple(self.maps_by_method)

    @property
    def maps(self) -> Any:
        """N×H×W float32; where a list of methods was asked for, a dict of such by the method's label."""
        return self.maps_by_method[self.methods[0]] if self.one else dict(self.maps_by_method)

    @property
    def predicted(self) -> Tensor:
        """The class with the largest logit: N int64."""
        return self.logits.argmax(1)

    @property
    def confidence(self) -> Tensor:
        """The predicted class's probability: N."""
        return self.logits.softmax(1).amax(1)

    @cached_property
    def pictures(self) -> NDArray[np.uint8]:
        """The images as a person sees them: N×H×W×3 uint8."""
        return self.images.pictures()  # type: ignore[no-any-return]

    def overlay(self, index: int, method: str | None = None) -> Image.Image:
        """Image `index` with its map over it; of the first method, or the one that is named."""
        label = self._label(method)
        if not -len(self) <= index < len(self):
            raise ExplainError(f"there is no image {index}: there are {len(self)}")
        return picture(self.pictures[index], self.maps_by_method[label][index])

    @property
    def overlays(self) -> Any:
        """All images with their maps over them: a list of N; a dict of such where there is a list of methods."""
        found = {label: [self.overlay(index, label) for index in range(len(self))] for label in self.methods}
        return found[self.methods[0]] if self.one else found

    def plot(self, images: int | Sequence[int] = _SHOWN) -> Figure:
        """A matplotlib figure of the first so many images, or of those that are named: picture, and map by map.

        It is no part of pyplot's state: notebooks show it, and ``figure.savefig(path)`` writes it.
        """
        from xaitool import figures

        chosen = list(range(min(images, len(self)))) if isinstance(images, int) else list(images)
        if any(not 0 <= index < len(self) for index in chosen):
            raise ExplainError(f"images are 0..{len(self) - 1}; not all of {chosen} are among them")
        maps = {label: of_method[chosen] for label, of_method in self.maps_by_method.items()}
        return figures.evidence(self.pictures[chosen], [self.rows[index].caption for index in chosen], maps)

    def judge(self, metrics: Sequence[Any] | None = None) -> Verdicts:
        """Whether these explanations can be believed: each method measured against maps that know nothing.

        metrics: as ``method`` of :func:`xaitool.explain`; None: xaitool's usual ones (docs/verdicts.md). It takes 30
        images at least, and the mean and std of their normalisation. Raises MetricError.
        """
        from xaitool.api.verdicts import judge

        return judge(self, metrics)

    def save(self, folder: str | Path) -> Path:
        """Write overlays (``.png``), raw maps (``.npy``, H×W float32) and ``predictions.csv``: the folder.

        Files are called ``00000-NAME.METHOD.png``; those of an earlier explanation of that name are overwritten.
        Raises FolderError.
        """
        folder = Path(folder).expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for index, row in enumerate(self.rows):
                for label, maps in self.maps_by_method.items():
                    save_pair(folder / f"{row.stem}.{filename(label)}", self.pictures[index], maps[index])
            write_whole(folder / "predictions.csv", table(self.rows).encode())
        except OSError as error:
            raise FolderError(f"cannot write {folder}: {error.strerror or error}") from error
        return folder

    @cached_property
    def rows(self) -> list[Row]:
        """What ``predictions.csv`` says of each image."""
        return Row.of(range(len(self)), self.images.names, self.logits, self.targets, self.classes)

    def __repr__(self) -> str:
        height, width = self.images.tensor.shape[2:]
        methods = ", ".join(f"{each} at {self.layers[each]}" if each in self.layers else each for each in self.methods)
        return f"<Explanation of {len(self)} image{'s' * (len(self) != 1)} ({height}x{width}) by {methods}>"

    def _repr_html_(self) -> str:
        return as_html(self, _SHOWN)

    def _label(self, method: str | None) -> str:
        label = self.methods[0] if method is None else method
        if label not in self.maps_by_method:
            hint = did_you_mean(label, self.methods) or f"; there are {', '.join(self.methods)}"
            raise ExplainError(f"there are no maps of method '{label}'{hint}")
        return label
