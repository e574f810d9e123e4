"""The planted shortcut: tied to its class in training as strongly as asked, untied in the test, its mask known."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from xaitool.contracts import DataBundle, Shortcut
from xaitool.data.shortcut import Patches, ShortcutConfig, plant
from xaitool.engine.loading import make_loader
from xaitool.errors import RecipeError
from xaitool.recipe.resolve import Recipe
from xaitool_cifar10 import config as cifar10
from xaitool_cifar10.data import build as build_cifar10
from xaitool_shapes import config as shapes
from xaitool_shapes.data import build as build_shapes

MAGENTA, GREEN = (255, 0, 255), (0, 255, 0)
FLIP = [{"HorizontalFlip": {"p": 1.0}}]


def ids(count: int, split: str = "train") -> list[str]:
    return [f"{split}/{index:05d}" for index in range(count)]


def tied(count: int, classes: int = 10) -> NDArray[np.bool_]:
    return np.arange(count) % classes == 3


def drawn(seed: int = 3, *, train: int = 80, test: int = 40, **options: Any) -> DataBundle:
    """Shapes with a shortcut; `options` are the shortcut's, and `augment` and `test_transform` the data set's."""
    own = {name: options.pop(name) for name in ("augment", "test_transform", "size_of_images") if name in options}
    side = own.pop("size_of_images", 32)
    config = shapes.Config(train=train, test=test, size=side, shortcut={"label": "star"} | options, **own)
    return build_shapes(config, seed=seed)


def shortcut_in(bundle: DataBundle) -> Shortcut:
    assert bundle.shortcut is not None
    return bundle.shortcut


def pixels(bundle: DataBundle, images: Any) -> torch.Tensor:
    """N×3×H×W, 0..255."""
    return torch.stack([bundle.display(images[row][0]) for row in range(len(images))]).mul(255).round()


def has_patch(bundle: DataBundle, images: Any, size: int = 4) -> list[bool]:
    """Whether there is a window full of the patch's two colours anywhere."""
    of_colour = torch.stack([is_of(pixels(bundle, images), colour) for colour in (MAGENTA, GREEN)]).any(0)
    full = torch.nn.functional.avg_pool2d(of_colour[:, None].float(), size, stride=1) == 1
    return full.flatten(1).any(1).tolist()


def is_of(images: torch.Tensor, colour: tuple[int, int, int]) -> torch.Tensor:
    """N×3×H×W -> N×H×W bool."""
    return (images == torch.tensor(colour).view(3, 1, 1)).all(1)


# Who gets one


@pytest.mark.parametrize(("strength", "own", "others"), [(0, 0.5, 0.5), (0.5, 0.75, 0.25), (1, 1.0, 0.0)])
def test_the_strength_sets_how_closely_the_patch_goes_with_the_class(
    strength: float, own: float, others: float
) -> None:
    of_class = tied(20_000)
    present = plant(ShortcutConfig(label="a", strength=strength), ids(20_000), 32, 1, of_class).present
    # Five standard deviations: a wrong rate is seen, an unlucky seed is not.
    assert abs(present[of_class].mean() - own) <= 5 * np.sqrt(own * (1 - own) / of_class.sum())
    assert abs(present[~of_class].mean() - others) <= 5 * np.sqrt(others * (1 - others) / (~of_class).sum())


@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_in_the_test_the_patch_goes_with_no_class(strength: float) -> None:
    of_class = tied(20_000)
    present = plant(ShortcutConfig(label="a", strength=strength), ids(20_000, "test"), 32, 1).present
    for some in (of_class, ~of_class):
        assert abs(present[some].mean() - 0.5) < 5 * np.sqrt(0.25 / some.sum())


def test_the_images_of_a_bundle_have_it_as_the_rates_say() -> None:
    bundle = drawn(train=400, test=200)
    assert bundle.sample is not None
    star = bundle.classes.index("star")
    assert has_patch(bundle, bundle.sample) == [bundle.train[row][1] == star for row in range(400)]
    present = list(shortcut_in(bundle).present)
    assert has_patch(bundle, bundle.test) == present
    assert 70 < sum(present) < 130
    of_star = [there for row, there in enumerate(present) if bundle.test[row][1] == star]
    assert 0 < sum(of_star) < len(of_star) == 25


def test_what_happens_to_an_image_depends_on_the_seed_and_its_id_alone() -> None:
    config = ShortcutConfig(label="a", strength=0.5)
    whole = plant(config, ids(60), 32, 1, tied(60))
    backwards = plant(config, ids(60)[::-1], 32, 1, tied(60)[::-1])
    some = plant(config, ids(60)[20:30], 32, 1, tied(60)[20:30])
    for name in ("places", "present"):
        assert np.array_equal(getattr(whole, name)[::-1], getattr(backwards, name))
        assert np.array_equal(getattr(whole, name)[20:30], getattr(some, name))
    other = plant(config, ids(60), 32, 2, tied(60))
    assert not np.array_equal(whole.present, other.present)
    assert not np.array_equal(whole.places, other.places)


def test_the_draws_are_the_ones_they_have_always_been() -> None:
    patches = plant(ShortcutConfig(label="a"), ids(6, "test"), 32, 7)
    assert patches.places.tolist() == [[2, 3], [25, 27], [27, 1], [0, 3], [4, 28], [27, 2]]
    assert patches.present.tolist() == [False, False, False, False, True, True]


# Where it lies


@pytest.mark.parametrize(("side", "size"), [(16, 4), (32, 4), (32, 8), (33, 1), (224, 20)])
def test_it_lies_in_each_corner_and_never_far_from_it(side: int, size: int) -> None:
    places = plant(ShortcutConfig(label="a", size=size), ids(4000), side, 1).places
    near, far = places <= size, places >= side - 2 * size
    assert (near ^ far).all()
    assert places.min() == 0
    assert places.max() == side - size
    corners = np.bincount(near[:, 0] * 2 + near[:, 1], minlength=4)
    assert corners.min() > 1000 - 5 * np.sqrt(4000 * 3 / 16)
    # Each distance from the edge as often as any other.
    distances = np.bincount(np.where(near, places, side - size - places).ravel())
    assert len(distances) == size + 1
    assert distances.min() > 0.6 * distances.mean()


@pytest.mark.parametrize(("side", "size"), [(16, 4), (32, 4), (48, 7)])
def test_the_mask_is_where_the_pixels_differ_and_nowhere_else(side: int, size: int) -> None:
    bundle = drawn(size_of_images=side, size=size)
    shortcut = shortcut_in(bundle)
    with_patch, without = pixels(bundle, shortcut.with_patch), pixels(bundle, shortcut.without_patch)
    for row in range(40):
        mask = shortcut.masks[row]
        assert (mask.dtype, mask.shape, int(mask.sum())) == (torch.bool, (side, side), size**2)
        assert torch.equal((with_patch[row] != without[row]).any(0), mask)
        magenta, green = (is_of(with_patch[row : row + 1], colour)[0] for colour in (MAGENTA, GREEN))
        assert torch.equal(magenta | green, mask)
        assert magenta[mask].tolist() == [(i // size + i % size) % 2 == 0 for i in range(size**2)]  # a chessboard


def test_the_test_images_are_those_with_it_and_those_without_in_their_order() -> None:
    bundle = drawn()
    shortcut = shortcut_in(bundle)
    assert len(shortcut.with_patch) == len(shortcut.without_patch) == len(shortcut.masks) == len(bundle.test) == 40
    assert 0 < sum(shortcut.present) < 40
    for row, there in enumerate(shortcut.present):
        image, label = (shortcut.with_patch if there else shortcut.without_patch)[row]
        assert torch.equal(image, bundle.test[row][0])
        assert label == bundle.test[row][1]


def test_what_is_known_of_it_stands_in_the_bundle() -> None:
    shortcut = shortcut_in(drawn(label="cross", strength=0.7))
    assert (shortcut.target, shortcut.name, shortcut.strength) == (4, "cross", 0.7)
    assert list(shapes.OUTLINES)[4] == "cross"
    assert build_shapes(shapes.Config(train=16, test=16), seed=0).shortcut is None


def test_without_it_the_images_are_those_of_a_data_set_that_has_none() -> None:
    plain = build_shapes(shapes.Config(train=80, test=40), seed=3)
    planted = drawn()
    assert (planted.mean, planted.std) == (plain.mean, plain.std)
    assert torch.equal(pixels(planted, shortcut_in(planted).without_patch), pixels(plain, plain.test))


def test_what_the_patch_hides_of_an_object_is_no_longer_in_its_mask() -> None:
    plain = build_shapes(shapes.Config(train=80, test=400), seed=3)
    planted = drawn(test=400, size=8)
    shortcut = shortcut_in(planted)
    assert plain.test_masks is not None
    assert planted.test_masks is not None
    hidden = 0
    for row, there in enumerate(shortcut.present):
        expected = plain.test_masks[row] & ~shortcut.masks[row] if there else plain.test_masks[row]
        assert torch.equal(planted.test_masks[row], expected)
        hidden += int((plain.test_masks[row] != planted.test_masks[row]).any())
    assert hidden > 10


# Transforms


def test_augmentation_carries_the_patch_along() -> None:
    flipped, plain = drawn(augment=FLIP), drawn()
    assert any(has_patch(plain, plain.train))
    assert has_patch(flipped, flipped.train) == has_patch(plain, plain.train)
    assert torch.equal(pixels(flipped, flipped.train), pixels(plain, plain.train).flip(3))
    assert flipped.sample is not None
    assert torch.equal(pixels(flipped, flipped.sample), pixels(plain, plain.train))


def test_masks_go_through_the_test_transform() -> None:
    steps = [{"CenterCrop": {"height": 28, "width": 28}}, *FLIP]
    bundle, plain = drawn(test_transform=steps), drawn()
    shortcut = shortcut_in(bundle)
    with_patch, without = pixels(bundle, shortcut.with_patch), pixels(bundle, shortcut.without_patch)
    for row in range(40):
        assert torch.equal(shortcut.masks[row], shortcut_in(plain).masks[row][2:30, 2:30].flip(1))
        assert torch.equal((with_patch[row] != without[row]).any(0), shortcut.masks[row])
    assert len({int(shortcut.masks[row].sum()) for row in range(40)}) > 1  # some are cut off


def test_the_number_of_workers_changes_nothing() -> None:
    bundle = drawn(augment=[{"HorizontalFlip": {"p": 0.5}}])
    alone, helped = (list(make_loader(bundle.train, 16, shuffle=True, seed=5, workers=n)) for n in (0, 2))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(alone, helped, strict=True))


# The fingerprint


def test_the_fingerprint_changes_with_every_option() -> None:
    plain = build_shapes(shapes.Config(train=80, test=40), seed=3)
    changes: list[dict[str, Any]] = [{}, {"label": "ring"}, {"strength": 0.5}, {"size": 5}, {"colour": (250, 0, 255)}]
    fingerprints = {plain.fingerprint, *(drawn(**change).fingerprint for change in changes)}
    assert len(fingerprints) == 6
    assert drawn().fingerprint == drawn().fingerprint != drawn(seed=4).fingerprint
    assert drawn(augment=FLIP).fingerprint == drawn().fingerprint


# CIFAR-10


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    images = iter(np.random.default_rng(2).integers(0, 256, (60, 32, 32, 3), np.uint8))
    for split, count in (("train", 4), ("test", 2)):
        for name in cifar10.CLASSES:
            folder = tmp_path / "png" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(next(images)).save(folder / f"{number:04d}.png")
    return tmp_path / "png"


def taken(root: Path, seed: int = 3, **options: Any) -> DataBundle:
    return build_cifar10(cifar10.Config(root=str(root), **options), seed=seed)


def test_cifar10_has_it_too(photographs: Path) -> None:
    bundle, plain = taken(photographs, shortcut={"label": "cat"}), taken(photographs)
    shortcut = shortcut_in(bundle)
    assert (shortcut.target, shortcut.name) == (3, "cat")
    assert plain.shortcut is None
    assert bundle.sample is not None
    assert has_patch(bundle, bundle.sample) == [label == 3 for _, label in bundle.train]
    assert has_patch(bundle, bundle.test) == list(shortcut.present)
    assert 0 < sum(shortcut.present) < 20
    without, with_patch = pixels(bundle, shortcut.without_patch), pixels(bundle, shortcut.with_patch)
    assert torch.equal(without, pixels(plain, plain.test))
    for row in range(20):
        assert torch.equal((with_patch[row] != without[row]).any(0), shortcut.masks[row])
    assert bundle.test_masks is None


def test_cifar10_with_a_limit_has_it_on_the_images_that_would_have_it_anyway(photographs: Path) -> None:
    options = {"label": "cat", "strength": 0.5}
    whole, part = (taken(photographs, shortcut=options, limit={"train": n, "test": n}) for n in (None, 15))
    for split in ("train", "test"):
        there = dict(zip(getattr(whole, f"{split}_ids"), has_patch(whole, getattr(whole, split)), strict=True))
        names = getattr(part, f"{split}_ids")
        assert has_patch(part, getattr(part, split)) == [there[name] for name in names]


def test_the_fingerprint_of_cifar10_changes_with_it(photographs: Path) -> None:
    options: list[dict[str, Any]] = [{"label": "cat"}, {"label": "dog"}, {"label": "cat", "size": 5}]
    fingerprints = {taken(photographs, shortcut=each).fingerprint for each in (None, *options)}
    assert len(fingerprints) == 4
    again = taken(photographs, shortcut={"label": "cat"})
    assert again.fingerprint in fingerprints
    assert taken(photographs, seed=4, shortcut={"label": "cat"}).fingerprint not in fingerprints


def test_cifar10_images_stay_in_their_file(photographs: Path) -> None:
    """Painted as they are fetched: a pickle of 50,000 training images holds the patches' places and no image."""
    bundle = taken(photographs, shortcut={"label": "cat"})
    for images in (bundle.train, shortcut_in(bundle).with_patch):
        text = pickle.dumps(images)
        assert len(text) < 20 * 32 * 32 * 3
        assert torch.equal(pickle.loads(text)[13][0], images[13][0])


def test_painting_leaves_the_array_alone() -> None:
    image: NDArray[np.uint8] = np.zeros((8, 8, 3), np.uint8)
    image.flags.writeable = False
    patches = Patches(np.array([[1, 2], [0, 0]]), np.array([True, False]), 2, (9, 8, 7))
    painted = patches(0, image)
    one, other = [9, 8, 7], [246, 247, 248]
    assert painted[1:3, 2:4].tolist() == [[one, other], [other, one]]
    assert painted.sum() == 2 * sum(one + other)
    assert not image.any()
    assert patches(1, image) is image


# The options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "stra"}, "there is no class 'stra'; did you mean 'star'?"),
        ({"label": "zebra-crossing"}, "there is no class 'zebra-crossing'; there are circle, square, "),
        ({"label": "star", "size": 9}, "should be at most 8, a quarter of the images' side"),
        ({"label": "star", "size": 0}, "greater than or equal to 1"),
        ({"label": "star", "strength": 1.1}, "less than or equal to 1"),
        ({"label": "star", "colour": [0, 0, 256]}, "less than or equal to 255"),
        ({"label": "star", "color": [0, 0, 25]}, "Extra inputs"),
        ({}, "Field required"),
    ],
)
def test_mistakes_are_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        shapes.Config(shortcut=options)
    assert message in str(caught.value)


RECIPE = """\
recipe: 1
name: t
dataset:
  use: {use}
  shortcut: {{strength: 1, size: 40, label: {label}}}
model: resnet18
train: {{epochs: 1, scheduler: lr_finder_onecycle}}
"""


@pytest.mark.parametrize(
    ("use", "label", "meant"), [("shapes", "cros", "cross"), ("cifar10", "automobil", "automobile")]
)
def test_mistakes_are_told_at_their_place_in_the_recipe(use: str, label: str, meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(RECIPE.format(use=use, label=label))
    assert [str(problem) for problem in caught.value.problems] == [
        "<recipe>:5:33: dataset.shortcut.size: should be at most 8, a quarter of the images' side, not 40",
        f"<recipe>:5:44: dataset.shortcut.label: there is no class '{label}'; did you mean '{meant}'?",
    ]


def test_a_wrong_class_among_the_classes_is_told_once() -> None:
    with pytest.raises(ValidationError) as caught:
        shapes.Config(classes=["circle", "sqare"], shortcut={"label": "sqare"})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize("module", ["xaitool_shapes.config", "xaitool_cifar10.config", "xaitool.data.shortcut"])
def test_checking_the_options_imports_no_torch(module: str) -> None:
    script = f"import sys, {module}; sys.exit(' '.join({{'torch', 'albumentations'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
