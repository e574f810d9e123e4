"""Transforms for whole batches: the same outcomes as Albumentations', as often."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from xaitool.data.arrays import ImageArray
from xaitool.data.batched import BATCHED, BatchedPipeline, at_the_end
from xaitool.data.pipeline import check
from xaitool.data.transforms import compose, transforms

HEIGHT, WIDTH = 5, 4
# Every pixel is another: an outcome tells what was done.
IMAGE = np.arange(1, 1 + HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
DRAWS = 4_000
PADDED = {"min_height": 7, "min_width": 7, "border_mode": "reflect_101"}
HOLE: dict[str, Any] = {"hole_height_range": [2, 3], "hole_width_range": [1, 2], "num_holes_range": [1, 1], "p": 0.7}
RANDOM: list[list[Any]] = [
    [{"HorizontalFlip": {"p": 0.3}}],
    ["VerticalFlip"],
    [{"RandomCrop": {"height": 3, "width": 3}}],
    [{"PadIfNeeded": PADDED}, {"RandomCrop": {"height": 5, "width": 4}}],
    [{"CoarseDropout": {**HOLE, "fill": [200, 210, 220]}}],
    [{"CoarseDropout": {**HOLE, "num_holes_range": [1, 2], "hole_height_range": [2, 2], "hole_width_range": [3, 3]}}],
    [{"CoarseDropout": {**HOLE, "hole_height_range": [0.2, 0.7], "hole_width_range": [0.3, 0.8]}}],
    [{"RandomCrop": {"height": 4, "width": 3}}, "HorizontalFlip", {"CoarseDropout": {**HOLE, "fill": 9}}],
]  # fmt: skip


def batched(steps: list[Any], images: int, image: Any = IMAGE) -> torch.Tensor:
    pipeline = BatchedPipeline.of(check(steps), *image.shape[:2])
    whole = torch.from_numpy(np.repeat(image[None], images, 0))
    return pipeline.apply(whole, pipeline.draw(images))


@pytest.mark.parametrize("steps", RANDOM, ids=str)
def test_the_outcomes_are_those_of_albumentations_and_as_frequent(steps: list[Any]) -> None:
    pipeline = compose(check(steps))
    pipeline.set_random_seed(1)
    theirs = Counter(pipeline(image=IMAGE)["image"].tobytes() for _ in range(DRAWS))
    torch.manual_seed(1)
    ours = Counter(each.numpy().tobytes() for each in batched(steps, DRAWS))

    common = sorted(outcome for outcome in theirs | ours if theirs[outcome] + ours[outcome] >= 20)
    seen_by_one = [outcome for outcome in common if 0 in (theirs[outcome], ours[outcome])]

    assert len(common) > 1
    assert sum((theirs | ours)[outcome] for outcome in common) > DRAWS / 2
    assert not seen_by_one
    assert stats.chi2_contingency([[each[outcome] for outcome in common] for each in (theirs, ours)]).pvalue > 1e-3


@pytest.mark.parametrize("mode", ["constant", "replicate", "reflect", "wrap", "reflect_101"])
@pytest.mark.parametrize(
    "step",
    [
        {"PadIfNeeded": {"min_height": 9, "min_width": 7, "fill": 9}},
        {"PadIfNeeded": {"min_height": 8, "min_width": 3, "fill": [7, 8, 9]}},
        {"Pad": {"padding": 2}},
        {"Pad": {"padding": [1, 2]}},
        {"Pad": {"padding": [0, 1, 2, 3], "fill": 250}},
    ],
    ids=str,
)
def test_borders_are_albumentations_to_the_pixel(step: dict[str, Any], mode: str) -> None:
    ((name, arguments),) = step.items()
    steps: list[Any] = [{name: {**arguments, "border_mode": mode}}]

    assert np.array_equal(batched(steps, 1)[0], compose(check(steps))(image=IMAGE)["image"])


@pytest.mark.parametrize("size", [(3, 2), (4, 4), (5, 1)])
def test_the_middle_is_albumentations_middle(size: tuple[int, int]) -> None:
    steps: list[Any] = [{"CenterCrop": {"height": size[0], "width": size[1]}}]

    assert np.array_equal(batched(steps, 1)[0], compose(check(steps))(image=IMAGE)["image"])


def test_what_is_done_follows_from_the_seed() -> None:
    steps = RANDOM[-1]
    torch.manual_seed(3)
    once = batched(steps, 20)
    torch.manual_seed(3)

    assert torch.equal(once, batched(steps, 20))
    assert not torch.equal(once, batched(steps, 20))


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        ([], 0),
        (["HorizontalFlip"], 1),
        (["ColorJitter", "HorizontalFlip", "VerticalFlip"], 2),
        (["HorizontalFlip", "ColorJitter"], 0),
        ([{"CoarseDropout": {"fill": "random"}}], 0),
        ([{"RandomCrop": {"height": 4, "width": 4, "pad_if_needed": True}}], 0),
        ([{"RandomCrop": {"height": 4, "width": 4, "p": 0.5}}], 0),
        ([{"Pad": {"padding": 1, "p": 0.5}}], 0),
        ([{"PadIfNeeded": {"min_height": 9, "min_width": 9, "position": "random"}}], 0),
        ([{"PadIfNeeded": {"min_height": None, "min_width": 9, "pad_height_divisor": 4}}], 0),
    ],
)
def test_which_transforms_at_the_end_have_such_a_form(steps: list[Any], count: int) -> None:
    assert at_the_end(check(steps)) == count


def test_the_names_told_are_transforms() -> None:
    assert set(BATCHED) <= set(transforms())


def array(steps: list[Any], fixed: bool = False) -> ImageArray:
    images = np.random.default_rng(0).integers(0, 256, (30, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return ImageArray(images, np.arange(30), (0.5, 0.25, 0.125), (0.25, 0.5, 1.0), check(steps), fixed=fixed)


def test_images_that_are_finished_on_the_device_are_those_of_the_array() -> None:
    """With transforms that leave nothing to chance, both ways give the same."""
    images = array([{"Pad": {"padding": 1}}, {"VerticalFlip": {"p": 1.0}}, {"CenterCrop": {"height": 6, "width": 5}}])
    half_done = images.on_device()
    pixels, drawn, labels = half_done.batch([3, 1, 4])
    finished = half_done.finish(pixels, drawn)

    expected = images.__getitems__([3, 1, 4])
    assert torch.equal(finished, torch.stack([image for image, _ in expected]))
    assert labels.tolist() == [label for _, label in expected] == [3, 1, 4]
    assert pixels.dtype == torch.uint8
    assert len(half_done) == 30


def test_what_has_no_such_form_stays_with_albumentations() -> None:
    images = array([{"Resize": {"height": 12, "width": 10}}, {"HorizontalFlip": {"p": 1.0}}])
    pixels, drawn, _ = images.on_device().batch([0])

    assert pixels.shape == (1, 12, 10, 3)
    assert torch.equal(images.on_device().finish(pixels, drawn), images[0][0][None])


@pytest.mark.parametrize("images", [array(["ColorJitter"]), array([]), array(["HorizontalFlip"], fixed=True)])
def test_a_pipeline_that_ends_otherwise_cannot_be_left_to_the_device(images: ImageArray) -> None:
    with pytest.raises(ValueError, match=r"whole batches can go through PadIfNeeded, .*does not end in these"):
        images.on_device()
