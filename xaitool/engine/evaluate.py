"""Evaluate: a model's logits on labelled images, and everything that is counted from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.borrow import borrowed
from xaitool.engine.calibration import calibration
from xaitool.engine.loading import order_of
from xaitool.engine.processes import ALONE
from xaitool.engine.progress import Display, Silent
from xaitool.engine.runtime import Runtime, using
from xaitool.errors import DataUnavailableError


@dataclass(frozen=True)
class Evaluation:
    """logits: N×classes float32; labels: N int64; both on the CPU, in the order of the data."""

    logits: Tensor
    labels: Tensor

    @cached_property
    def probabilities(self) -> Tensor:
        """N×classes."""
        return self.logits.softmax(1)

    @cached_property
    def predicted(self) -> Tensor:
        """The class with the largest logit: N int64."""
        return self.logits.argmax(1)

    @cached_property
    def runner_up(self) -> Tensor:
        """The class with the second largest logit: N int64."""
        return self.logits.topk(2, dim=1).indices[:, 1]

    @cached_property
    def confidence(self) -> Tensor:
        """The predicted class's probability: N."""
        return self.probabilities.amax(1)

    @cached_property
    def correct(self) -> Tensor:
        """N bool."""
        return self.predicted == self.labels

    @property
    def broken(self) -> list[int]:
        """The rows whose logits are no numbers."""
        return (~self.logits.isfinite()).any(1).nonzero()[:, 0].tolist()

    @property
    def accuracy(self) -> float:
        """Part of the images whose class is predicted, 0..1."""
        return float(self.correct.double().mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(F.cross_entropy(self.logits.double(), self.labels))

    @cached_property
    def confusion(self) -> Tensor:
        """classes×classes counts: row the true class, column the predicted one."""
        classes = self.logits.shape[1]
        return torch.bincount(self.labels * classes + self.predicted, minlength=classes**2).view(classes, classes)

    def figures(self, classes: Sequence[str]) -> dict[str, Any]:
        """What stands in ``metrics.json``."""
        per_class = self.confusion.double()
        recall = (per_class.diagonal() / per_class.sum(1).clamp(min=1)).tolist()
        named = per_class.sum(0)
        precision = (per_class.diagonal() / named.clamp(min=1)).tolist()
        # How sure the model is, on the average, where it names a class: with calibration, as often as it is right.
        sure = torch.zeros_like(named).index_add_(0, self.predicted, self.confidence.double()) / named.clamp(min=1)
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "images": len(self.labels),
            "misclassified": int((~self.correct).sum()),
            "per_class": {
                name: {
                    "recall": recall[index],
                    "precision": precision[index],
                    "images": int(per_class[index].sum()),
                    "predicted": int(named[index]),
                    "confidence": float(sure[index]),
                }
                for index, name in enumerate(classes)
            },
            "calibration": calibration(self.confidence, self.correct),
            "confusion": self.confusion.tolist(),
        }

    def table(self, ids: Sequence[str], classes: Sequence[str]) -> str:
        """``predictions.csv``: one row an image."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "true", "predicted", "correct", "confidence", "true_probability", "runner_up"])
        of_true = self.probabilities.gather(1, self.labels[:, None])[:, 0]
        for row, name in enumerate(ids):
            writer.writerow(
                [
                    name,
                    classes[int(self.labels[row])],
                    classes[int(self.predicted[row])],
                    int(self.correct[row]),
                    f"{float(self.confidence[row]):.6f}",
                    f"{float(of_true[row]):.6f}",
                    classes[int(self.runner_up[row])],
                ]
            )
        return text.getvalue()


def count_images(batches: object) -> int | None:
    """How many images a loader gives, where it can say."""
    dataset = getattr(batches, "dataset", None)
    return len(dataset) if isinstance(dataset, Sized) else None


def evaluate(
    module: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    runtime: Runtime | None = None,
    display: Display | None = None,
) -> Evaluation:
    """The logits of a module, in eval mode and float32, on a loader of (images N×C×H×W, labels N).

    The module's modes are put back; it is moved to the runtime's device. Of several processes each takes its part of
    the batches, and all know all.
    """
    display = display or Silent()
    found = []
    with using(runtime) as runtime, borrowed(runtime.place(module)), torch.no_grad():
        module.eval()
        # Of a loader that is not ours, each process sees all.
        processes = runtime.processes if order_of(batches) is not None else ALONE
        with display.bar("testing", count_images(batches)) as bar:
            for images, truth in runtime.prepare(batches):
                logits = module(runtime.to_device(images)).float()
                # All stays on the device until the end: nothing waits for it. Labels are copied, as what a worker
                # process has sent holds a file open for as long as it is there.
                found.append((logits, truth.clone()))
                bar(len(truth) * processes.count)
        here = [(logits.cpu(), truth.to("cpu", torch.int64)) for logits, truth in found]
        every = [batch for turn in zip_longest(*processes.everyones(here)) for batch in turn if batch is not None]
        if not every:
            raise DataUnavailableError("there is nothing to evaluate on: the loader gave no batch")
        all_logits, all_labels = zip(*every, strict=True)
        return Evaluation(torch.cat(all_logits), torch.cat(all_labels))
