"""The embedded data set: the same everywhere, masks that fit, and nothing but the outline to tell the class."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from xaitool.contracts import DataBundle
from xaitool_shapes import xaitool_datasets
from xaitool_shapes.config import Config
from xaitool_shapes.data import build
from xaitool_shapes.drawing import draw
from xaitool_shapes.outlines import OUTLINES

NAMES = list(OUTLINES)
TRAIN, TEST = 0, 1


def drawn(count: int, seed: int = 0, split: int = TRAIN, size: int = 32, **options: Any) -> tuple[Any, Any]:
    """The images and masks of `count` pictures, the classes in turn."""
    shapes = [NAMES[index % len(NAMES)] for index in range(count)]
    return draw((seed, split), shapes, size=size, **{"clutter": 0.4, "occlusion": 0.25, "noise": 0.03} | options)


def labels(count: int) -> NDArray[np.int64]:
    return np.arange(count) % len(NAMES)


@pytest.fixture(scope="module")
def pictures() -> tuple[Any, Any]:
    return drawn(2000)


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return build(Config(train=80, test=40), seed=3)


# The same everywhere


def test_the_bytes_are_the_ones_they_have_always_been() -> None:
    images, masks = drawn(16, seed=7)
    digest = hashlib.sha256(images.tobytes() + masks.tobytes()).hexdigest()
    assert digest == "4294c3c543b4c99c5d725bd5073d257afa74bf503d74a4e64686a4b4cfc51a31"


def test_equal_seeds_give_equal_data_and_others_do_not() -> None:
    one, same, other = (build(Config(train=80, test=40), seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert torch.equal(one.train[5][0], same.train[5][0])
    assert not torch.equal(one.train[5][0], other.train[5][0])


def test_the_seed_of_the_config_goes_before_the_run_s() -> None:
    assert build(Config(train=80, test=40, seed=1), seed=2).fingerprint == (
        build(Config(train=80, test=40), seed=1).fingerprint
    )


@pytest.mark.parametrize("changed", [{"train": 81}, {"test": 41}, {"classes": NAMES[::-1]}, {"noise": 0.031}])
def test_the_fingerprint_changes_with_the_data(bundle: DataBundle, changed: dict[str, Any]) -> None:
    assert build(Config(**{"train": 80, "test": 40} | changed), seed=3).fingerprint != bundle.fingerprint


def test_the_fingerprint_does_not_change_with_the_augmentation(bundle: DataBundle) -> None:
    config = Config(train=80, test=40, augment=[{"HorizontalFlip": {"p": 1.0}}])
    augmented = build(config, seed=3)
    assert augmented.fingerprint == bundle.fingerprint
    assert not torch.equal(augmented.train[0][0], bundle.train[0][0])
    assert augmented.sample is not None
    assert torch.equal(augmented.sample[0][0], bundle.train[0][0])


@pytest.mark.parametrize("size", [16, 33, 128])
def test_a_picture_does_not_depend_on_how_many_are_drawn(size: int) -> None:
    few, few_masks = drawn(5, size=size)
    many, many_masks = drawn(90, size=size)
    assert np.array_equal(few, many[:5])
    assert np.array_equal(few_masks, many_masks[:5])


def test_train_and_test_share_no_image() -> None:
    train, test = drawn(1000, split=TRAIN)[0], drawn(1000, split=TEST)[0]
    assert len({image.tobytes() for image in (*train, *test)}) == 2000


def test_drawing_leaves_the_global_random_states_alone() -> None:
    def states() -> tuple[Any, ...]:
        numpy_s = np.random.get_state(legacy=False)["state"]
        return random.getstate(), numpy_s["pos"], numpy_s["key"].tolist(), torch.get_rng_state().tolist()

    before = states()
    build(Config(train=20, test=20, augment=[{"HorizontalFlip": {}}]), seed=0)
    assert states() == before


# Masks


def test_masks_are_of_a_sensible_size(pictures: tuple[Any, Any]) -> None:
    masks = pictures[1]
    assert masks.dtype == np.bool_
    assert masks.shape == (2000, 32, 32)
    fractions = masks.mean(axis=(1, 2))
    assert fractions.min() > 0.03
    assert fractions.max() < 0.4


def test_the_object_stands_out_from_what_is_around_it() -> None:
    images, masks = drawn(400, occlusion=0)
    contrasts = np.array([_contrast(image / 255, mask) for image, mask in zip(images, masks, strict=True)])
    assert (contrasts > 0.2).mean() > 0.99
    assert np.median(contrasts) > 0.5
    # The same masks, put on other pictures of the same class, find nothing.
    astray = [_contrast(image / 255, mask) for image, mask in zip(images, np.roll(masks, 8, axis=0), strict=True)]
    assert np.median(astray) < 0.5 * np.median(contrasts)


def test_edges_are_at_the_rim_of_the_mask_and_nowhere_else() -> None:
    images, masks = drawn(80, clutter=0, occlusion=0, noise=0)
    for image, mask in zip(images / 255, masks, strict=True):
        steps = np.abs(np.diff(image, axis=1)).max(axis=2)
        rim = mask[:, 1:] != mask[:, :-1]
        away = ~(_grown(mask) & _grown(~mask))
        assert np.median(steps[rim]) > 0.1
        # Not quite all of them: sharp tips run out beyond the pixels that they half cover.
        assert np.quantile(steps[away[:, 1:] & away[:, :-1]], 0.98) < 0.05


def test_an_occluder_hides_a_part_and_at_most_about_a_quarter() -> None:
    bare, covered = drawn(800, occlusion=0)[1], drawn(800, occlusion=1)[1]
    assert not (covered & ~bare).any()
    kept = covered.sum(axis=(1, 2)) / bare.sum(axis=(1, 2))
    assert kept.min() > 0.65
    assert (kept < 0.97).mean() > 0.7


def test_occlusion_is_a_probability() -> None:
    bare, covered, sometimes = (drawn(800, occlusion=chance)[1] for chance in (0, 1, 0.25))
    hit = (bare != covered).any(axis=(1, 2))
    hidden = (bare != sometimes).any(axis=(1, 2))
    assert 0.19 < hidden.sum() / hit.sum() < 0.31


# Nothing but the outline tells the class


@pytest.mark.parametrize("where", ["object", "background", "place"])
def test_neither_colour_nor_place_tells_the_class(pictures: tuple[Any, Any], where: str) -> None:
    images, masks = pictures
    if where == "place":
        features = np.array([_place(mask)[:2] for mask in masks])
    else:
        chosen = masks if where == "object" else ~masks
        features = np.array([image[part].mean(axis=0) for image, part in zip(images, chosen, strict=True)])
    accuracy = _nearest_class_mean(features.astype(float), labels(2000))
    assert accuracy < 1 / len(NAMES) + 0.06


def test_the_outlines_are_told_apart_by_their_masks() -> None:
    """The check above can fail: how much of its own disc a shape fills tells it well above chance."""
    masks = drawn(2000, occlusion=0)[1]
    filled = np.array([[mask.sum() / _place(mask)[2] ** 2] for mask in masks])
    assert _nearest_class_mean(filled, labels(2000)) > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_outlines_keep_within_the_radius_and_reach_it(name: str) -> None:
    axis = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    inside = OUTLINES[name](x, y) < 0
    assert 0.8 < np.sqrt(x**2 + y**2)[inside].max() < 1.13
    # All distances are about right near the outline: one pixel on changes them by at most one pixel.
    distance = OUTLINES[name](x, y)
    assert np.abs(np.diff(distance, axis=0))[(np.abs(distance) < 0.05)[1:]].max() < 0.0105


# The contract


def test_items_are_normalised_tensors_and_labels(bundle: DataBundle) -> None:
    for split, ids, count in ((bundle.train, bundle.train_ids, 80), (bundle.test, bundle.test_ids, 40)):
        assert len(split) == len(ids) == len(set(ids)) == count
        tallies = np.zeros(len(bundle.classes), int)
        for index in range(count):
            image, label = split[index]
            assert image.shape == (3, 32, 32)
            assert image.dtype == torch.float32
            assert image.isfinite().all()
            assert type(label) is int
            tallies[label] += 1
        assert tallies.max() - tallies.min() <= 1
    assert bundle.train_ids[12] == "train/00012"
    assert bundle.classes == tuple(NAMES)


def test_normalised_training_images_have_zero_mean_and_unit_deviation(bundle: DataBundle) -> None:
    images = torch.stack([bundle.train[index][0] for index in range(80)]).double()
    assert images.mean(dim=(0, 2, 3)) == pytest.approx(np.zeros(3), abs=1e-5)
    assert images.std(dim=(0, 2, 3), correction=0) == pytest.approx(np.ones(3), abs=1e-5)


def test_test_items_are_the_same_every_time(bundle: DataBundle) -> None:
    assert all(torch.equal(bundle.test[index][0], bundle.test[index][0]) for index in range(40))


def test_display_gives_the_drawn_pixels_back(bundle: DataBundle) -> None:
    images, masks = drawn(40, seed=3, split=TEST)
    shown = bundle.display(torch.stack([bundle.test[index][0] for index in range(40)]))
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert (shown - torch.from_numpy(images).permute(0, 3, 1, 2) / 255).abs().max() < 1 / 255
    assert bundle.test_masks is not None
    assert len(bundle.test_masks) == 40
    for index in range(40):
        assert torch.equal(bundle.test_masks[index], torch.from_numpy(masks[index]))


def test_masks_go_through_the_test_transform(bundle: DataBundle) -> None:
    config = Config(train=80, test=40, test_transform=[{"HorizontalFlip": {"p": 1.0}}])
    flipped = build(config, seed=3)
    assert flipped.test_masks is not None
    assert bundle.test_masks is not None
    assert torch.equal(flipped.test_masks[4], bundle.test_masks[4].flip(1))
    assert torch.equal(flipped.test[4][0], bundle.test[4][0].flip(2))


def test_some_classes_only() -> None:
    pair = build(Config(train=10, test=10, classes=["star", "ring"], size=48), seed=0)
    assert pair.classes == ("star", "ring")
    assert {pair.test[index][1] for index in range(10)} == {0, 1}
    assert pair.test[0][0].shape == (3, 48, 48)


# The options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["circle", "sqare"]}, "did you mean 'square'"),
        ({"classes": ["circle"]}, "at least 2"),
        ({"classes": ["circle", "star", "circle"]}, "more than once: circle"),
        ({"colour": "red"}, "Extra inputs"),
        ({"train": 7}, "7 images cannot hold each of the 8 classes"),
        ({"size": 15}, "greater than or equal to 16"),
        ({"clutter": 1.1}, "less than or equal to 1"),
        ({"occlusion": -0.1}, "greater than or equal to 0"),
        ({"noise": float("nan")}, "finite"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"augment": [{"NoSuchTransform": {}}]}, "no transform of this name"),
    ],
)
def test_mistakes_are_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config(**options)


def test_the_hook_offers_the_data_set() -> None:
    (component,) = xaitool_datasets()
    assert component.name == "shapes"
    assert component.load_config() is Config
    assert component.load_factory() is build


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("xaitool_shapes", {"torch", "numpy", "albumentations"}), ("xaitool_shapes.config", {"torch", "albumentations"})],
)
def test_listing_and_checking_import_nothing_heavy(module: str, heavy: set[str]) -> None:
    script = f"import sys, {module}; sys.exit(' '.join({heavy!r} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _grown(mask: NDArray[np.bool_], twice: bool = True) -> NDArray[np.bool_]:
    """The mask and its neighbours, one or two pixels on, diagonals included."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    grown = np.logical_or.reduce([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)])
    return _grown(grown, twice=False) if twice else grown


def _contrast(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Distance between the mean colours inside the mask and in the ring of pixels around it."""
    around = _grown(mask) & ~_grown(mask, twice=False)
    return float(np.linalg.norm(image[mask].mean(axis=0) - image[around].mean(axis=0)))


def _place(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The middle of the mask (row, column) and its greatest distance from there."""
    points = np.argwhere(mask)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return (*middle, float(np.linalg.norm(points - middle, axis=1).max()))


def _nearest_class_mean(features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Accuracy on the second half of a classifier made from the first: the class whose mean is nearest."""
    half = len(labels) // 2
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    means = np.stack([features[:half][labels[:half] == label].mean(axis=0) for label in np.unique(labels)])
    nearest = np.linalg.norm(features[half:, None] - means, axis=2).argmin(axis=1)
    return float((nearest == labels[half:]).mean())
