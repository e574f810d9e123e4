"""What every metric does first and last: check what it is given, and say which images have a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xaitool.contracts import Given, Metric, Scores, Subject
from xaitool.errors import MetricError

OK = "ok"


def check(metric: Metric, images: Tensor, targets: Tensor, maps: Tensor, given: Given) -> None:
    """Raises MetricError where shapes do not agree, or the metric needs what is not given."""
    if images.ndim != 4:
        raise MetricError(f"images must be N x C x H x W, not {_size(images)}")
    number, _, height, width = images.shape
    wanted = {"targets": (number,), "maps": (number, height, width)}
    for name, tensor in {"targets": targets, "maps": maps}.items():
        if tensor.shape != wanted[name]:
            raise MetricError(f"{name} for images of {_size(images)} must be {wanted[name]}, not {_size(tensor)}")
    if len(given.ids) != number:
        raise MetricError(f"{number} images need one id each, but there are {len(given.ids)} ids")
    if "explainer" in metric.needs and given.explain is None:
        raise MetricError("this metric asks the explainer for further maps, but no explainer is given")
    if "mask" in metric.needs:
        _check_mask(given.mask, wanted["maps"])


def _check_mask(mask: Tensor | None, wanted: tuple[int, ...]) -> None:
    if mask is None:
        raise MetricError("this metric needs the true mask of every image, and the data set has none")
    if mask.shape != wanted or mask.dtype != torch.bool:
        raise MetricError(f"masks must be bool of {wanted}, not {mask.dtype} of {_size(mask)}")


def normalisation(subject: Subject, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std as C×1×1. Raises MetricError where the subject does not say them, for a guess would go unnoticed."""
    channels = images.shape[1]
    if len(subject.mean) != channels or len(subject.std) != channels:
        raise MetricError(
            f"this metric works on pixel values and needs the mean and std of the normalisation, one for each of "
            f"{channels} channels; the subject has {len(subject.mean)} and {len(subject.std)}"
        )
    return images.new_tensor(subject.mean).view(-1, 1, 1), images.new_tensor(subject.std).view(-1, 1, 1)


def status_of(maps: Tensor) -> list[str]:
    """For each of N×H×W maps ``"ok"``, ``"non-finite map"`` or ``"constant map"``."""
    finite = maps.isfinite().flatten(1).all(1).tolist()
    constant = (maps == maps[:, :1, :1]).flatten(1).all(1).tolist()
    return [
        "constant map" if same else OK if fine else "non-finite map"
        for fine, same in zip(finite, constant, strict=True)
    ]


def scores(
    metric: Metric,
    values: Tensor,
    status: list[str],
    chance: Tensor | None = None,
    curves: Mapping[str, Any] | None = None,
) -> Scores:
    """The N values, NaN where the status is not ok; a value that is no finite number gets a status of its own."""
    # Rounding can put a value a hair outside the range; no more than that ever lies outside.
    inside = values.detach().cpu().double().clamp(*metric.range)
    finite = inside.isfinite().tolist()
    status = ["no finite score" if word == OK and not fine else word for word, fine in zip(status, finite, strict=True)]
    return Scores(
        values=[value if word == OK else float("nan") for value, word in zip(inside.tolist(), status, strict=True)],
        status=status,
        chance=[] if chance is None else chance.tolist(),
        curves=curves or {},
    )


def _size(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
