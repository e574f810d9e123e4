"""What plugins return is checked here, once, where it comes in."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaitool.contracts import DataBundle, Explainer, Given, Metric, ModelBundle, Scheduler, Scores, Subject, Tuned
from xaitool.engine.guard import Guard
from xaitool.errors import ContractError, XaitoolError
from xaitool.recipe.resolve import Resolved

# Of a learning rate: beyond, a step is no number in float32.
_HIGHEST_RATE = 1e38


class Seam:
    """Checks in the name of one component, so that a failure names its plugin."""

    def __init__(self, component: Resolved) -> None:
        self.component = component

    def require(self, condition: bool, message: str) -> None:
        """Raise ContractError, naming the plugin, unless the condition holds."""
        if not condition:
            offer = self.component.offer
            raise ContractError(f"plugin {offer.plugin} broke its contract: {offer.component.name}: {message}")

    def data(self, data: Any) -> DataBundle:
        """A data bundle whose first images are as they should be."""
        self.require(isinstance(data, DataBundle), f"should return a DataBundle, not {type(data).__name__}")
        self.require(len(data.classes) >= 2, "should have at least two classes")
        self.require(len(set(data.classes)) == len(data.classes), "has a class name twice")
        for name, split, ids in (("train", data.train, data.train_ids), ("test", data.test, data.test_ids)):
            self.require(len(split) > 0, f"has no {name} images")
            self.require(len(split) == len(ids), f"has {len(split)} {name} images but {len(ids)} ids")
            twice = next((each for each, count in Counter(map(str, ids)).items() if count > 1), None)
            self.require(twice is None, f"has the id '{twice}' of a {name} image twice")
            image, label = split[0]
            self._image(name, image, label, data)
        self.require(_numbers(data.mean) and _numbers(data.std), "should have numbers as mean and std")
        self.require(all(each > 0 for each in data.std), "should have a std above 0")
        self._one_size(data)
        self._test_is_fixed(data)
        masks = data.test_masks
        self.require(masks is None or len(masks) == len(data.test), "should have a mask for each test image")
        if (shortcut := data.shortcut) is not None:
            parts = (shortcut.present, shortcut.masks, shortcut.with_patch, shortcut.without_patch)
            self.require(all(len(part) == len(data.test) for part in parts), "has a shortcut of another length")
        return data  # type: ignore[no-any-return]

    def _image(self, split: str, image: Any, label: Any, data: DataBundle) -> None:
        self.require(
            isinstance(image, Tensor) and image.dtype == torch.float32 and image.ndim == 3,
            f"{split} images should be float32 tensors of channels x height x width",
        )
        self.require(image.shape[0] == len(data.mean) == len(data.std), "mean and std should be one number a channel")
        self.require(bool(image.isfinite().all()), f"the first {split} image holds NaN or infinite values")
        number = as_class(label)
        within = number is not None and 0 <= number < len(data.classes)
        self.require(within, f"label {label!r} is not in 0..{len(data.classes) - 1}")

    def _one_size(self, data: DataBundle) -> None:
        """A network is built for one size; the recipe's transforms may have made two of it."""
        train, test = (" x ".join(map(str, split[0][0].shape)) for split in (data.train, data.test))
        if train != test:
            raise XaitoolError(
                f"dataset {self.component.label}: the training images are {train} and the test images {test}; "
                "transform both to one size"
            )

    def _test_is_fixed(self, data: DataBundle) -> None:
        """The recipe's transforms may have made the test images random; a few looks at one of them tell."""
        first = data.test[0][0]
        if not all(torch.equal(first, data.test[0][0]) for _ in range(10)):
            raise XaitoolError(
                f"dataset {self.component.label}: a test image is another one each time; leave random transforms to "
                "the training images, or have them always applied (p: 1.0)"
            )

    def model(self, bundle: Any, num_classes: int) -> ModelBundle:
        """A model that turns two images into finite logits."""
        self.require(isinstance(bundle, ModelBundle), f"should return a ModelBundle, not {type(bundle).__name__}")
        logits = _forward(bundle.module, torch.zeros(2, *bundle.input_size))
        self.require(isinstance(logits, Tensor), f"should give a tensor of logits, not {type(logits).__name__}")
        expected = (2, num_classes)
        self.require(tuple(logits.shape) == expected, f"should give logits of {expected}, not {tuple(logits.shape)}")
        self.require(any(True for _ in bundle.module.parameters()), "has no weights")
        self.require(bool(logits.isfinite().all()), "gives logits that are NaN or infinite")
        names = {name for name, _ in bundle.module.named_modules()}
        for layer in bundle.cam_layers:
            self.require(layer in names, f"names a CAM layer '{layer}' that the module does not have")
        return bundle  # type: ignore[no-any-return]

    def scheduler(self, scheduler: Any) -> Scheduler:
        """Something with the methods of a scheduler."""
        self.require(isinstance(scheduler, Scheduler), "should return an object with tune_steps, tune and build")
        return scheduler  # type: ignore[no-any-return]

    def tuned(self, tuned: Any) -> Tuned:
        """A usable learning rate."""
        self.require(isinstance(tuned, Tuned), f"tune should return a Tuned, not {type(tuned).__name__}")
        rate = tuned.max_lr
        self.require(0 < rate <= _HIGHEST_RATE, f"tune gave a learning rate of {rate}")
        self.require(len(tuned.lrs) == len(tuned.losses), "tune gave a curve with unequal numbers of rates and losses")
        return tuned  # type: ignore[no-any-return]

    def explainer(self, explainer: Any) -> Explainer:
        """Something with the method of an explainer."""
        self.require(isinstance(explainer, Explainer), "should return an object with a method explain")
        return explainer  # type: ignore[no-any-return]

    def metric(self, metric: Any) -> Metric:
        """Something with the attributes and the method of a metric."""
        self.require(
            isinstance(metric, Metric), "should return an object with aspect, direction, range, needs and score"
        )
        return CheckedMetric(metric, self)

    def maps(self, maps: Any, images: Tensor) -> Tensor:
        """Maps of the right shape, all finite."""
        expected = (len(images), *images.shape[2:])
        self.require(
            isinstance(maps, Tensor) and maps.dtype == torch.float32 and tuple(maps.shape) == expected,
            f"should give maps as a torch.float32 tensor of {expected}, not as {kind(maps)}",
        )
        self.require(bool(maps.isfinite().all()), "gives maps with NaN or infinite values")
        return maps  # type: ignore[no-any-return]


class CheckedMetric:
    """A metric whose scores are checked whenever it gives some; see :class:`~xaitool.contracts.Metric`."""

    def __init__(self, metric: Metric, seam: Seam) -> None:
        self.aspect, self.direction, self.range, self.needs = (
            metric.aspect,
            metric.direction,
            metric.range,
            metric.needs,
        )
        self._metric = metric
        self._seam = seam

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """Scores of the right number, within the metric's range."""
        scores = self._metric.score(subject, images, targets, maps, given)
        require, count = self._seam.require, len(images)
        require(isinstance(scores, Scores), f"should give Scores, not {kind(scores)}")
        for name in ("values", "status", "chance"):
            found = getattr(scores, name)
            optional = name != "values" and not len(found)
            require(optional or len(found) == count, f"gave {len(found)} {name} for {count} images")
        low, high = self.range
        for value in (*scores.values, *scores.chance):
            slack = 1e-4 * max(1.0, abs(value))
            within = math.isnan(value) or low - slack <= value <= high + slack
            require(within, f"gave a score of {value:.4g}, out of its range of {low:g} to {high:g}")
        for name, curve in scores.curves.items():
            shape = np.shape(curve)
            require(len(shape) == 1 or shape[0] == count, f"gave {shape[0]} curves '{name}' for {count} images")
        return scores


def check_subject_explains(seam: Seam, explainer: Explainer, subject: Subject, image: Tensor) -> None:
    """Explain one image for class 0, so that a wrong layer name is met before training and not after it."""
    images = image[None].to(next(subject.module.parameters()).device)
    guard = Guard(subject.module)
    try:
        with seam.component.offer.blamed("a trial explanation before training"):
            seam.maps(explainer.explain(subject, images, torch.zeros(1, dtype=torch.int64)), images)
        changes = ", ".join(guard.changes())
        seam.require(
            not changes, f"leaves the model or torch changed ({changes}) by a trial explanation before training"
        )
    finally:
        guard.restore()


def as_class(label: Any) -> int | None:
    """A label as a number; None where it is none, or no whole one."""
    if isinstance(label, Tensor) and label.ndim:
        return None
    try:
        return operator.index(label)
    except TypeError:
        return None


def _numbers(values: Any) -> bool:
    return isinstance(values, Sequence) and all(isinstance(each, Real) and math.isfinite(each) for each in values)


def kind(value: Any) -> str:
    """``a torch.float32 tensor of (1, 16, 32)``, ``a numpy.ndarray``."""
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of {tuple(value.shape)}"
    module = type(value).__module__
    return f"a {'' if module == 'builtins' else module + '.'}{type(value).__qualname__}"


def _forward(module: nn.Module, images: Tensor) -> Any:
    from xaitool.borrow import borrowed

    with borrowed(module), torch.no_grad():
        return module.eval()(images)
