"""Images as people see them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from xaitool.contracts import DataBundle


def pictures(data: DataBundle, images: Tensor) -> Any:
    """Normalised N×C×H×W images as N×H×W×3 numpy arrays in [0, 1].

    One channel is shown as grey, two as red and green, and of more than three the first three.
    """
    shown = data.display(images).permute(0, 2, 3, 1)
    if shown.shape[-1] == 1:
        shown = shown.expand(-1, -1, -1, 3)
    return F.pad(shown, (0, max(0, 3 - shown.shape[-1])))[..., :3].numpy()


def pixels(data: DataBundle, images: Tensor) -> Any:
    """The same as N×H×W×3 uint8, as picture files have them."""
    return (pictures(data, images) * 255).round().astype("uint8")
