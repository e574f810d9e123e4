"""Checks for components of explainers.

They are tried on the network of :mod:`xaitool.testing.bench`, whose layers are called ``stage1`` and ``stage2``. One
that draws at random is seeded before each call, as the engine does.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from xaitool.contracts import Explainer, Sharing, Subject
from xaitool.engine.randomness import kept, seed_all
from xaitool.errors import ExplainError
from xaitool.testing import bench
from xaitool.testing.checks import CheckError, check, expect, expect_error
from xaitool.testing.specimen import Specimen

# Two maps are the same if they differ by no more than this part of the largest value in them.
_SAME = 1e-5
# ... and differ if they do so by at least this part of it.
_DIFFERENT = 1e-3

# A search for leaks: rounds of so many calls, the first ones to warm up.
_CALLS, _ROUNDS_AT_LEAST, _ROUNDS = 40, 2, 8


@check("shape-and-dtype", "explainer")
def shape_and_dtype(specimen: Specimen) -> None:
    """It is an Explainer, and the maps of N images are N×H×W float32 on their device, for one image and where H ≠ W."""
    explainer = specimen.build()
    expect(isinstance(explainer, Explainer), f"{type(explainer).__name__} has no method explain")
    found = bench.pictures(4)
    wide = torch.cat([found.images, found.images[..., : bench.SIZE // 2]], dim=3)
    for images in (found.images, found.images[:1], wide):
        maps = _explain(specimen, bench.subject(), images, found.labels[: len(images)])
        expected = (len(images), *images.shape[2:])
        shape = tuple(getattr(maps, "shape", ()))
        expect(
            isinstance(maps, Tensor) and maps.dtype == torch.float32 and shape == expected,
            f"gives {getattr(maps, 'dtype', type(maps).__name__)} {shape} for images {tuple(images.shape)}; "
            f"it should be torch.float32 {expected}",
        )
        expect(maps.device == images.device, f"gives maps on {maps.device} for images on {images.device}")


@check("finite", "explainer")
def finite(specimen: Specimen) -> None:
    """Maps are finite, those of a constant image too."""
    found = bench.pictures(4)
    grey, black = torch.zeros_like(found.images), torch.full_like(found.images, -2)
    for name, images in (("a picture", found.images), ("a constant image", grey), ("a constant image", black)):
        maps = _explain(specimen, bench.subject(), images, found.labels)
        wrong = int((~maps.isfinite()).sum())
        expect(not wrong, f"the map of {name} is NaN or infinite in {wrong} of {maps.numel()} values")


@check("batch-invariant", "explainer")
def batch_invariant(specimen: Specimen) -> None:
    """The maps of a batch are those of its images one by one, to 1e-5 of the largest value."""
    found, subject = bench.pictures(6), bench.subject()
    whole = _explain(specimen, subject, found.images, found.labels)
    _expect_same(_in_parts(specimen, subject, found, 1), whole, "6 images together and one by one")


@check("chunk-invariant", "explainer")
def chunk_invariant(specimen: Specimen) -> None:
    """Maps depend neither on how the caller splits the images nor on an option for the batch size, to 1e-5."""
    found, subject = bench.pictures(7), bench.subject()
    whole = _explain(specimen, subject, found.images, found.labels)
    for size in (2, 3):
        _expect_same(_in_parts(specimen, subject, found, size), whole, f"7 images together and {size} at a time")
    for option in _batch_size_options(specimen):
        for size in (1, 3):
            other = replace(specimen, options={**specimen.options, option: size})
            maps = _explain(other, subject, found.images, found.labels)
            _expect_same(maps, whole, f"{option} as it is and {option}={size}")


@check("repeatable", "explainer")
def repeatable(specimen: Specimen) -> None:
    """The same call twice with the same seed gives the same maps, with another call in between."""
    found, subject, explainer = bench.pictures(4), bench.subject(), specimen.build()
    first = _call(explainer, subject, found.images, found.labels)
    _call(explainer, subject, found.images.flip(0), found.labels.flip(0))
    _expect_same(
        _call(explainer, subject, found.images, found.labels), first, "the same call twice, both seeded with 0"
    )


@check("module-as-before", "explainer")
def module_as_before(specimen: Specimen) -> None:
    """Hooks, training flags, requires_grad, .grad and values of the module, and the images, are as before."""
    found, subject = bench.pictures(4), bench.lived_in()
    images, targets = found.images.clone(), found.labels.clone()
    with _as_before(subject, "after the maps were made", with_random_state=False):
        _explain(specimen, subject, images, targets)
    expect(torch.equal(images, found.images), "the caller's images are changed")
    expect(torch.equal(targets, found.labels), "the caller's targets are changed")
    expect(not images.requires_grad, "the caller's images require a gradient afterwards")


@check("random-state-as-before", "explainer")
def random_state_as_before(specimen: Specimen) -> None:
    """The random states of torch, numpy and Python are as before."""
    found, subject, explainer = bench.pictures(4), bench.subject(), specimen.build()
    with kept():
        seed_all(0)
        before = bench.random_state()
        explainer.explain(subject, found.images, found.labels)
        changed = bench.changes(before, bench.random_state())
    expect(not changed, f"after the maps of 4 images were made, not as before: {changed}")


@check("as-before-after-an-error", "explainer")
def as_before_after_an_error(specimen: Specimen) -> None:
    """Module and random state are as before where the network's last layer fails, or a target is wrong."""
    found, explainer = bench.pictures(4), specimen.build()
    wrong = torch.cat([found.labels[:3], torch.tensor([len(bench.CLASSES)])])
    for fails_at, targets, when in (
        (1, found.labels, "after an error in the last layer"),
        (2, found.labels, "after an error in the last layer, the second time it ran"),
        (0, wrong, "after a wrong target"),
    ):
        subject = bench.lived_in()
        subject.module.get_submodule("head").register_forward_pre_hook(_failing(fails_at))
        with kept(), _as_before(subject, when), suppress(Exception):
            explainer.explain(subject, found.images, targets)


@check("frozen-and-no-grad", "explainer")
def frozen_and_no_grad(specimen: Specimen) -> None:
    """Maps are the same for a frozen module, inside torch.no_grad() and inside torch.inference_mode()."""
    found, subject = bench.pictures(3), bench.subject()
    usual = _explain(specimen, subject, found.images, found.labels)
    with torch.no_grad():
        maps = _explain(specimen, subject, found.images, found.labels, "inside torch.no_grad()")
        _expect_same(maps, usual, "outside and inside torch.no_grad()")
    with torch.inference_mode():
        maps = _explain(specimen, subject, found.images.clone(), found.labels, "inside torch.inference_mode()")
        _expect_same(maps, usual, "outside and inside torch.inference_mode()")
    subject.module.requires_grad_(False)
    maps = _explain(specimen, subject, found.images, found.labels, "with a frozen module")
    _expect_same(maps, usual, "with a module as it is and a frozen one")


@check("wrong-targets-raise", "explainer")
def wrong_targets_raise(specimen: Specimen) -> None:
    """A wrong number of targets, and a class out of range, raise ExplainError."""
    found, subject, explainer = bench.pictures(3), bench.subject(), specimen.build()
    classes = len(bench.CLASSES)
    for targets in ([0, 1], [0, 1, 2, 3], [0, 1, classes], [0, 1, -1]):
        with kept(), expect_error(ExplainError, f"3 images, {classes} classes, targets {targets}"):
            explainer.explain(subject, found.images, torch.tensor(targets))


@check("native-size", "explainer")
def native_size(specimen: Specimen) -> None:
    """The grid that native_size tells of, where there is such a method, is (h, w), no finer than the image."""
    found, subject, explainer = bench.pictures(2), bench.subject(), specimen.build()
    if not hasattr(explainer, "native_size"):
        return
    with kept():
        told: Any = explainer.native_size(subject, found.images)
    right = isinstance(told, tuple) and len(told) == 2 and all(type(side) is int for side in told)
    expect(
        right and all(1 <= side <= bench.SIZE for side in told),
        f"native_size is {told!r} for images of {bench.SIZE} × {bench.SIZE}; it should be two ints in 1..{bench.SIZE}",
    )


@check("flat-memory", "explainer")
def flat_memory(specimen: Specimen) -> None:
    """Calls on other images each leave nothing behind: tensors, their values (0.1 of a map a call), objects (half one).

    A leak adds to each of many rounds of calls; what is made once and kept does not. Python's own memory takes some
    hundred calls to settle, so rounds go on until one is flat.
    """
    subject, explainer = bench.subject(), specimen.build()
    side, targets = bench.SIZE // 2, bench.pictures(1).labels
    draw = torch.Generator().manual_seed(0)
    maps = _CALLS * side**2 * 4
    most = {"tensors": 0.1 * _CALLS, "bytes of tensors": 0.1 * maps, "bytes of objects": 0.5 * maps}

    def held_after_a_round() -> dict[str, int]:
        for image in torch.randn(_CALLS, 1, 3, side, side, generator=draw):
            explainer.explain(subject, image.clone(), targets)
        return _held()

    with kept(), _memory_traced():
        after = held_after_a_round()
        for number in range(_ROUNDS):
            before, after = after, held_after_a_round()
            left = {what: after[what] - before[what] for what in most if after[what] - before[what] > most[what]}
            if number >= _ROUNDS_AT_LEAST and not left:
                return
    told = ", ".join(f"{count} {what}" for what, count in left.items())
    raise CheckError(f"each {_CALLS} calls, on an image of its own each, leave about {told} behind")


@contextmanager
def _memory_traced() -> Iterator[None]:
    """Let Python note its memory, numpy's included; counting its blocks would drown a leak in their noise."""
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    try:
        yield
    finally:
        if ours:
            tracemalloc.stop()


def _held() -> dict[str, int]:
    """What the process holds at the moment. A tensor that grows is seen by its bytes alone."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
    storages = [tensor.untyped_storage() for tensor in tensors if tensor.layout is torch.strided]
    # A meta storage holds nothing and has no address: torch.compile leaves such tensors in a process.
    held = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.device.type != "meta"}
    objects, _ = tracemalloc.get_traced_memory()
    return {"tensors": len(tensors), "bytes of tensors": sum(held.values()), "bytes of objects": objects}


@check("target-sensitive", "explainer")
def target_sensitive(specimen: Specimen) -> None:
    """The maps for two classes differ, for more than half of the images; or do not, of one with no class_specific."""
    found, subject = bench.pictures(24), bench.subject()
    class_specific = getattr(specimen.build(), "class_specific", True)
    one = _explain(specimen, subject, found.images, found.labels)
    other = _explain(specimen, subject, found.images, (found.labels + 1) % len(bench.CLASSES))
    differ = _differing(one, other)
    if not class_specific:
        expect(
            not differ, f"{differ} of 24 maps differ between the true class and another, though class_specific is False"
        )
        return
    expect(differ > 12, f"only {differ} of 24 maps differ between the true class and another")


@check("weight-sensitive", "explainer")
def weight_sensitive(specimen: Specimen) -> None:
    """The maps change, for more than half of the images, where the network's weights are drawn anew."""
    found, subject = bench.pictures(24), bench.subject()
    one = _explain(specimen, subject, found.images, found.labels)
    other = _explain(specimen, bench.weights_randomised(subject), found.images, found.labels)
    differ = _differing(one, other)
    expect(differ > 12, f"only {differ} of 24 maps differ between the trained network and one of random weights")


@check("points-at-the-object", "explainer")
def points_at_the_object(specimen: Specimen) -> None:
    """On pictures of shapes away from the middle, the map's maximum hits the object more often than the centre does."""
    found, subject = bench.off_centre(), bench.subject()
    maps = _explain(specimen, subject, found.images, found.labels)
    highest = maps.flatten(1).argmax(1, keepdim=True)
    rate = float(found.masks.flatten(1).gather(1, highest).float().mean())
    centre = float(found.masks[:, bench.SIZE // 2, bench.SIZE // 2].float().mean())
    expect(
        rate > centre,
        f"the map's maximum lies on the object in {rate:.0%} of {len(maps)} pictures, the centre pixel in {centre:.0%}",
    )


@check("shares", "explainer")
def shares(specimen: Specimen) -> None:
    """What is explained together, where it offers to, is what is explained alone: other targets, and its like."""
    explainer, found, subject = specimen.build(), bench.pictures(5), bench.subject()
    if not isinstance(explainer, Sharing) or explainer.sharing(subject) is None:
        return
    others = (found.labels + 1) % len(bench.CLASSES)
    questions = [(explainer, found.labels), (explainer, others), (specimen.build(), found.labels)]
    with kept():
        seed_all(0)
        together = explainer.explain_together(subject, found.images, questions)
    expect(len(together) == len(questions), f"gives {len(together)} sets of maps for {len(questions)} questions")
    for number, (maps, (_, targets)) in enumerate(zip(together, questions, strict=True)):
        alone = _explain(specimen, subject, found.images, targets)
        _expect_same(maps, alone, f"question {number} of three asked together, and asked alone")


@check("closed-form", "explainer")
def closed_form(specimen: Specimen) -> None:
    """A component called gradcam gives, up to its scale, the closed form on conv-ReLU-mean-linear, to 1e-5."""
    if specimen.offer.component.name != "gradcam":
        return
    found = bench.pictures(12)
    with kept():
        seed_all(3)
        module = _ConvReLUMeanLinear()
    subject = Subject(module, ("stage1", "stage2"), bench.subject().mean, bench.subject().std)
    maps = _explain(specimen, subject, found.images, found.labels)
    with torch.no_grad():
        weights = module.head.weight[found.labels]
        right = torch.einsum("nk,nkhw->nhw", weights, module.stage1(found.images)).relu()
    off = float((_from_0_to_1(maps) - _from_0_to_1(right)).abs().max())
    expect(off <= _SAME, f"differs by {off:.2g} from the closed form, each map scaled from 0 to 1")


class _ConvReLUMeanLinear(nn.Module):
    """Both of its stages have the same output, as large as the image, so that nothing is interpolated."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.stage2 = nn.Identity()
        self.head = nn.Linear(8, len(bench.CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stage2(self.stage1(images)).mean((2, 3)))  # type: ignore[no-any-return]


def _explain(specimen: Specimen, subject: Subject, images: Tensor, targets: Tensor, when: str = "") -> Tensor:
    return _call(specimen.build(), subject, images, targets, when)


def _call(explainer: Any, subject: Subject, images: Tensor, targets: Tensor, when: str = "") -> Tensor:
    """Maps, with the generators seeded before and put back after; CheckError for whatever the explainer raises."""
    with kept():
        seed_all(0)
        try:
            return explainer.explain(subject, images, targets)  # type: ignore[no-any-return]
        except Exception as error:
            shape = tuple(images.shape)
            raise CheckError(f"explain raises {type(error).__name__} for images {shape} {when}: {error}") from error


def _in_parts(specimen: Specimen, subject: Subject, found: bench.Pictures, size: int) -> Tensor:
    parts = zip(found.images.split(size), found.labels.split(size), strict=True)
    return torch.cat([_explain(specimen, subject, images, targets) for images, targets in parts])


def _batch_size_options(specimen: Specimen) -> list[str]:
    options = specimen.offer.component.load_config().model_fields
    return [name for name in options if name.endswith(("batch_size", "chunk_size", "per_eval"))]


def _expect_same(one: Tensor, other: Tensor, what: str) -> None:
    off = float((one - other).abs().max()) / (float(other.abs().max()) or 1.0)
    expect(off <= _SAME, f"{what}: maps differ by {off:.2g} of the largest value, more than {_SAME:g}")


def _differing(one: Tensor, other: Tensor) -> int:
    """How many of two times N maps differ."""
    scale = torch.maximum(one.abs().amax((1, 2)), other.abs().amax((1, 2)))
    return int(((one - other).abs().amax((1, 2)) > _DIFFERENT * scale).sum())


def _from_0_to_1(maps: Tensor) -> Tensor:
    maps = maps - maps.amin((1, 2), keepdim=True)
    highest = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(highest > 0, highest, 1)


def _failing(at: int) -> Callable[[nn.Module, Any], None]:
    """A hook that fails the `at`-th time it runs."""
    runs = 0

    def fail(_module: nn.Module, _inputs: Any) -> None:
        nonlocal runs
        runs += 1
        if runs == at:
            raise RuntimeError("on purpose, for a check")

    return fail


@contextmanager
def _as_before(subject: Subject, when: str, *, with_random_state: bool = True) -> Iterator[None]:
    def state() -> dict[str, Any]:
        return bench.condition(subject.module) | (bench.random_state() if with_random_state else {})

    before = state()
    yield
    changed = bench.changes(before, state())
    expect(not changed, f"{when}, not as before: {changed}")
