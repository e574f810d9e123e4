"""Pictures of the data, drawn while the data set is at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaitool import figures
from xaitool.contracts import DataBundle, Images
from xaitool.engine.data import OwnedImages
from xaitool.engine.explain import gather
from xaitool.engine.folder import RunFolder
from xaitool.engine.pictures import pictures
from xaitool.engine.randomness import derive

# Random samples shown, samples shown of each class, classes shown, and training images looked through for them.
_SAMPLES, _PER_CLASS, _CLASSES, _LOOKED_AT = 40, 10, 20, 2000


def draw_samples(folder: RunFolder, data: DataBundle, seed: int) -> None:
    """Training images as they are without augmentation: at random, by class, and one by its channels."""
    source = data.sample or data.train
    generator = torch.Generator().manual_seed(derive(seed, "pictures"))
    rows = torch.randperm(len(source), generator=generator)[:_LOOKED_AT]
    labels = torch.tensor(_labels_of(source, rows))
    by_class = torch.cat([rows[labels == label][:_PER_CLASS] for label in range(len(data.classes))[:_CLASSES]])

    def shown(chosen: Tensor) -> tuple[Any, Any]:
        return pictures(data, gather(source, chosen)), np.array(_labels_of(source, chosen))

    image, label = shown(rows[:1])
    folder.write_figure("random_samples", figures.random_samples(*shown(rows[:_SAMPLES]), data.classes))
    folder.write_figure("samples_by_class", figures.samples_by_class(*shown(by_class), data.classes, _PER_CLASS))
    folder.write_figure("channels", figures.channels(image[0], f"One training image: {data.classes[int(label[0])]}"))


def _labels_of(images: Images, rows: Tensor) -> list[int]:
    wanted = rows.tolist()
    return images.labels_of(wanted) if isinstance(images, OwnedImages) else [images[row][1] for row in wanted]
