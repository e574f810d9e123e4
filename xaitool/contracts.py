"""What the factories of plugins return, kind by kind.

Shapes are written N (images), C (channels), H × W (height, width). The engine checks what it is given once, where it
comes in (:mod:`xaitool.engine.seams`), and trusts it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class Images(Protocol):
    """A map-style data set of labelled images.

    Item i is ``(image, label)``: a float32 C×H×W tensor, normalised with the bundle's mean and std, and an int in
    ``range(len(classes))``. Whatever an item draws at random it draws from torch's, numpy's or Python's global
    generator: the engine seeds all three for every batch (for each piece of it, where ``train.pieces`` asks for more),
    so that batches do not depend on the number of workers.
    Where there is a method ``__getitems__(indices)``, whole batches are fetched through it. Where there is a method
    ``on_device()`` that gives a :class:`HalfDone`, a recipe may ask for ``runtime: {augment: device}``; it raises
    ValueError where that cannot be done.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]: ...


@runtime_checkable
class HalfDone(Protocol):
    """Labelled images whose last transforms are left to the device that learns from them, a whole batch at once."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], /) -> tuple[Tensor, Tensor, Tensor]:
        """What the device needs of these images: two tensors of N rows, on the CPU, and the labels, N int64.

        Whatever is random is drawn here, as for an item of :class:`Images`; the rest follows from it.
        """

    def finish(self, pixels: Tensor, drawn: Tensor, /) -> Tensor:
        """The two tensors, on the device, in; float32 N×C×H×W, normalised, there, out."""


class Masks(Protocol):
    """The true evidence for each image of a split: item i is a bool H×W tensor, True where the object is."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True)
class Shortcut:
    """A patch planted in a data set, which goes with one class in training and with none in particular in the test.

    target: the class it gives away; name: that class's name. strength: how closely it goes with it in training, from 0
    (not at all) to 1 (it is there in all images of the class and in no other).
    present: for each test image, whether it has the patch. masks: where the patch lies, or would lie, in each.
    with_patch, without_patch: the test images, in their order, all with the patch and all without it.
    """

    target: int
    name: str
    strength: float
    present: Sequence[bool]
    masks: Masks
    with_patch: Images
    without_patch: Images


@dataclass(frozen=True)
class DataBundle:
    """A data set, ready to train and test on.

    train, test: see :class:`Images`. `train` is augmented, `test` gives the same tensor bit for bit every time.
    classes: one name a class, in the order of the labels.
    mean, std: per channel, in units of [0, 1] pixel values; ``image * std + mean`` is the picture a person sees.
    train_ids, test_ids: a stable, unique name per sample, the same on every machine.
    fingerprint: a digest of the data themselves, equal where and only where they are.
    test_masks: the true evidence masks of the test images, where they are known.
    sample: undistorted training images (no augmentation), for pictures of the data.
    shortcut: what was planted in the images for a model to cheat by, where anything was.
    notes: what a person should know about these data, a sentence each; they are told as warnings.
    skipped: what was found and left out because it could not be used: (name, reason).
    """

    train: Images
    test: Images
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_ids: Sequence[str]
    test_ids: Sequence[str]
    fingerprint: str
    test_masks: Masks | None = None
    sample: Images | None = None
    shortcut: Shortcut | None = None
    notes: Sequence[str] = ()
    skipped: Sequence[tuple[str, str]] = ()

    def display(self, images: Tensor) -> Tensor:
        """Undo the normalisation: N×C×H×W (or C×H×W) in, the same in [0, 1] out."""
        return display(images, self.mean, self.std)


def display(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalised images (…×C×H×W) back to pixel values in [0, 1]; without mean they are pixel values already."""
    if not mean:
        return images.clamp(0, 1)
    shape = (-1, 1, 1)
    scale, shift = images.new_tensor(std).view(shape), images.new_tensor(mean).view(shape)
    return (images * scale + shift).clamp(0, 1)


@dataclass(frozen=True)
class ModelBundle:
    """A network and what the engine has to know about it.

    module: N×C×H×W float32 in, N×classes logits out.
    input_size: (C, H, W) it was built for.
    cam_layers: names (as in ``module.named_modules()``) of the layers a CAM method can look at, from input to output,
        each with an output that is a grid over the image, larger than 1×1: N×C×h×w, N×h×w×C, or tokens (see
        :mod:`xaitool.grid`); the last is the one it looks at unless told otherwise. Empty: the engine finds them by
        running the model (:func:`xaitool.layers.find_layers`).
    weights: where they come from (a checkpoint's path, a name for pretrained ones); empty: drawn at random.
    """

    module: nn.Module
    input_size: tuple[int, int, int]
    cam_layers: tuple[str, ...]
    weights: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a scheduler found out before training.

    max_lr: the learning rate at the schedule's peak, > 0.
    lrs, losses: the curve it was read from (empty where nothing was searched): training loss (smoothed), one a step.
    note: one sentence on how the rate was chosen.
    """

    max_lr: float
    lrs: Sequence[float] = ()
    losses: Sequence[float] = ()
    note: str = ""


@dataclass(frozen=True)
class Probe:
    """What a scheduler may try things on: clones, never the real model, optimizer or data order.

    module, optimizer: a copy of the model on its device, and a fresh optimizer over it.
    loss: (logits N×classes, labels N) -> scalar.
    batches: an endless iterator over (images, labels) of the training set, on the device.
    autocast: the precision that training will use, as a context-manager factory.
    step: call it once a step with the number of images, to move the progress bar.
    epochs, batch_size: of the training to come.

    Of several processes each is given its share of every batch, and `loss` gives the loss of the whole batch in all of
    them: what is decided by it is decided alike. The module is then wrapped; call it, and step the optimizer.
    """

    module: nn.Module
    optimizer: Optimizer
    loss: Callable[[Tensor, Tensor], Tensor]
    batches: Iterator[tuple[Tensor, Tensor]]
    autocast: Callable[[], AbstractContextManager[Any]]
    step: Callable[[int], None]
    epochs: int
    batch_size: int


@runtime_checkable
class Scheduler(Protocol):
    """A learning-rate schedule that may look at the problem first.

    tune_steps: how many training steps `tune` takes at most (0: none, it only reads its options).
    """

    tune_steps: int

    def tune(self, probe: Probe) -> Tuned:
        """Find the peak learning rate. Raises TuningError, with the curve, where there is no good answer."""

    def build(self, optimizer: Optimizer, total_steps: int, tuned: Tuned) -> LRScheduler:
        """A scheduler to be stepped after each of exactly `total_steps` optimizer steps; its rate is always > 0."""


@dataclass(frozen=True)
class Subject:
    """The model an explainer explains, borrowed.

    module: in whatever mode its owner has it; N×C×H×W float32 in, N×classes logits out.
    cam_layers: see :class:`ModelBundle`.
    mean, std: of the normalisation, so that a baseline can be set in pixel space.
    """

    module: nn.Module
    cam_layers: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@runtime_checkable
class Explainer(Protocol):
    """Says which pixels speak for a class."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """Saliency maps: N×C×H×W float32 images and N int64 classes in, N×H×W float32 out, on the images' device.

        Larger means more evidence for the target. The module is explained in eval mode and comes back as it was: hooks,
        train/eval flag of every module, requires_grad, .grad and the random state, also after an error. Works on a
        frozen module and inside ``torch.no_grad()``. Raises ExplainError for a wrong number of targets or a class
        out of range.

        An explainer that computes its maps on a coarser grid than the image's says so in a method
        ``native_size(subject, images) -> (h, w)``; without one, the grid is taken to be the image's own. One whose maps
        are the same whatever the target says so in an attribute ``class_specific = False``. Where a model has no grid
        to look at, it raises NoGridError: the rest of a run goes on without it.
        """


@runtime_checkable
class Sharing(Explainer, Protocol):
    """An explainer that can answer several questions about the same images at less than the price of each.

    Two explainers share where their keys are equal, and not None; the first of them is asked for all.
    """

    def sharing(self, subject: Subject) -> Hashable:
        """The key: of whatever explainers have to have in common for their work to be shared; None: do not share."""

    def explain_together(
        self, subject: Subject, images: Tensor, questions: Sequence[tuple[Any, Tensor]]
    ) -> Sequence[Tensor]:
        """Maps (N×H×W) for each of the questions, an explainer with this one's key and N targets.

        They are what that explainer's `explain` gives for those targets, and all that is promised there is promised
        here. Where this raises, each question is asked by itself.
        """


@runtime_checkable
class Adjustable(Explainer, Protocol):
    """An explainer that could do its work with any of several settings: the layer that a CAM method looks at, say.

    automatic: whether the engine is to choose among them by measuring, on images kept apart for it.
    """

    automatic: bool

    def alternatives(self, subject: Subject) -> Mapping[str, Explainer]:
        """The explainer with each of the settings, by the setting's name; of several as good the last is used."""

    def current(self, subject: Subject) -> str:
        """The name of the setting in use; where it is automatic and nothing has been chosen, of the usual one."""


@dataclass(frozen=True)
class Given:
    """What a metric may use besides the maps it scores.

    ids: the stable name of each of the N images; seed: the run's. All that a metric draws at random for an image
    follows from these two and from its own name, so that neither order nor batch size changes a score.
    mask: N×H×W bool, the true evidence, where the metric's `needs` has ``"mask"``.
    explain: (subject, images, targets) -> maps, the explainer itself, where `needs` has ``"explainer"``; maps as
    :meth:`Explainer.explain` gives them.
    native_size: (h, w) of the grid on which the maps were computed, before they were scaled to the image's size.
    memo: what metrics that score the same maps share (perturbation curves, say); empty at first.
    """

    ids: Sequence[str]
    seed: int = 0
    mask: Tensor | None = None
    explain: Callable[[Subject, Tensor, Tensor], Tensor] | None = None
    native_size: tuple[int, int] | None = None
    memo: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """One number an image, NaN where it has none, and why it has none.

    values: N floats within the metric's range. status: N words, ``"ok"`` or the reason a value is missing
    (``"constant map"``, …); left out: all ok. chance: what a map that knows nothing scores on each image, N floats,
    where that is known. curves: for pictures, name -> N×S floats, each at the S fractions in ``curves["fraction"]``.
    """

    values: Sequence[float]
    status: Sequence[str] = ()
    chance: Sequence[float] = ()
    curves: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportSection:
    """A section that a plugin adds to the report.

    html: what it says; scripts, styles, forms and whatever would be fetched are taken out, pictures are data URIs. Text
    that is not the plugin's own (the name of a class, say) has to be escaped: ``html.escape``.
    """

    title: str
    html: str


Aspect = Literal["faithfulness", "model", "class", "localisation", "stability", "complexity"]


@runtime_checkable
class Metric(Protocol):
    """Measures maps: one score an image.

    aspect: what the score says something about: whether the map is faithful to the model's decision, depends on the
    model's weights, depends on the class that is explained, finds the object, is stable under small changes, or how
    complex it is.
    direction: whether a higher or a lower score is better, or neither. range: the least and the greatest score, which
    may be infinite.
    needs: what it cannot do without: ``"mask"``, ``"explainer"`` (see :class:`Given`).
    """

    aspect: Aspect
    direction: Literal["higher", "lower", "none"]
    range: tuple[float, float]
    needs: frozenset[str]

    def score(self, subject: Subject, images: Tensor, targets: Tensor, maps: Tensor, given: Given, /) -> Scores:
        """Score maps (N×H×W float32) of images (N×C×H×W) for targets (N int64), all on one device.

        The module is borrowed as in :meth:`Explainer.explain`. A constant map has a status and no value, wherever the
        metric depends on the order of pixels. Raises MetricError where what it needs is not given.
        """
