"""Calibration: whether a model that says 80% is right in 80% of the cases."""

from __future__ import annotations

from typing import Any

from torch import Tensor

# The usual number of bins (Guo et al. 2017).
BINS = 15


def calibration(confidence: Tensor, correct: Tensor, bins: int = BINS) -> dict[str, Any]:
    """The reliability diagram and the expected calibration error (Guo et al. 2017, arXiv:1706.04599).

    confidence: the predicted class's probability, N floats in 0..1. correct: N bool. The bins are of equal width, each
    with its upper edge. ``ece``: the mean over the images of |accuracy - confidence| of their bin, 0..1. ``bins``: of
    each its edges, number of images, accuracy and mean confidence (None where it is empty). ``confidence``: the mean.
    """
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    found, ece = [], 0.0
    for index in range(bins):
        here = place == index
        images = int(here.sum())
        accuracy = float(correct[here].double().mean()) if images else None
        mean = float(confidence[here].double().mean()) if images else None
        if accuracy is not None and mean is not None:
            ece += images / len(confidence) * abs(accuracy - mean)
        edges = {"low": index / bins, "high": (index + 1) / bins}
        found.append({**edges, "images": images, "accuracy": accuracy, "confidence": mean})
    return {"ece": ece, "confidence": float(confidence.double().mean()), "bins": found}
