"""Each check of a data set catches a wrong one, and right ones pass."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from planted_specimens import failing, planted_specimen

from xaitool.errors import DataUnavailableError
from xaitool.plugins import catalog
from xaitool.testing import CheckError
from xaitool.testing.checks import checks_for
from xaitool.testing.specimen import Specimen
from xaitool_cifar10.sources import CLASSES

CHECKS = {check.name: check for check in checks_for("dataset") if check.kind == "dataset"}

WRONG = [
    ("images", "a_tuple", "the factory returns a tuple, not a DataBundle"),
    ("images", "doubles", r"test image 0 is torch\.float64, not torch\.float32"),
    ("images", "channels_last", "test image 0 has 12 channels, but there are 3 means"),
    ("images", "flat", r"test image 0 has shape \(432,\), not channels x height x width"),
    ("images", "holes", r"test image 0: \d+ of its 432 values are NaN or infinite"),
    ("images", "one_mean", "mean has 1 numbers and std 3"),
    ("labels", "from_one", r"the label of test image 1 is 2, not in 0\.\.1"),
    ("labels", "tensor_labels", "the label of test image 0 is a Tensor, not an int"),
    ("labels", "last_label_off", r"the label of test image 19 is 2, not in 0\.\.1"),
    ("labels", "labels_listed_wrongly", r"the label of train image 38 is -1, not in 0\.\.1"),
    ("test-items-fixed", "noisy_test", r"test image 0 is another one the second time: 432 of 432 values differ, by"),
    ("test-items-fixed", "batches_differ", "test image 0 is another one fetched in a batch: 432 of 432 values differ"),
    ("same-batches-any-workers", "own_generator", "batch 0 of epoch 0 is another one with two workers: .* values diff"),
    ("same-batches-any-workers", "own_noise_in_workers", r"batch 0 of epoch 0 is .*: 3456 of 3464 .*, by up to 0\.1"),
    ("on-device", "a_list_on_device", r"on_device\(\) gives a list, which has no batch\(indices\)"),
    ("on-device", "double_on_device", r"finished images are torch\.float64, not torch\.float32"),
    ("on-device", "small_on_device", r"16 finished images are \(16, 3, 12, 11\), not \(16, 3, 12, 12\) as the items"),
    ("on-device", "other_labels_on_device", r"the labels of train images \[0, .* are \[1, .*unlike the items'"),
    ("on-device", "drawn_on_device", r"the same batch after the same seed is another one: \d+ of 6912 values"),
    ("display", "wrong_std", r"test image 0 times std plus mean lies in -0\.\d+\.\.1\.\d+, not in 0\.\.1"),
    ("display", "dark", r"pixels differ by up to 0\.5\d\d; at most 0\.004 \(1/255\)"),
    ("masks", "few_masks", "there are 19 masks for 20 test images"),
    ("masks", "float_masks", r"mask 0 is torch\.float32, not torch\.bool"),
    ("masks", "large_masks", r"mask 0 is \(24, 24\), but test image 0 is \(12, 12\)"),
    ("masks", "empty_masks", "all 20 masks that were looked at are empty"),
    ("no-overlap", "same_ids", "20 ids stand for several samples: 'train/0' for 2"),
    ("no-overlap", "few_ids", "there are 1 ids for 20 test images"),
    ("no-overlap", "leaks", "2 of 20 test images looked at are .*: test 3 is train 30, test 7 is train 31"),
    ("seeded", "other_fingerprint_each_time", r"have the fingerprints 'noise \d+' and 'noise \d+'"),
    ("seeded", "other_images_each_time", "seed 0 give different train images 0: 432 of 432 values differ"),
    ("seeded", "other_ids_each_time", "two builds with seed 0 have different ids"),
    ("no-data-no-network", "makes_data_up", "an empty root, without network: raises nothing; it should raise DataUn"),
    (
        "no-data-no-network",
        "careless",
        r"raises OSError \(there is no network in this check\) instead of DataUnavailable",
    ),
    ("no-data-no-network", "asks_the_network", r"built without network, it raises ConnectionError \(nobody answers\)"),
]
ROOTED = {"careful", "makes_data_up", "careless", "cached"}
# Shapes and types that no check can do without.
BROKEN_THROUGHOUT = {"a_tuple", "channels_last", "flat", "holes", "one_mean"}


def data(factory: str, **options: Any) -> Specimen:
    config = "RootConfig" if factory in ROOTED else "Config"
    return planted_specimen("dataset", "wrong_datasets", factory, config, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with data."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "data").touch()
    return tmp_path / "root"


@pytest.mark.parametrize(("name", "fault", "told"), WRONG, ids=[fault for _, fault, _ in WRONG])
def test_a_wrong_data_set_is_caught_by_one_check(name: str, fault: str, told: str, root: Path) -> None:
    specimen = data(fault, **({"root": str(root)} if fault in ROOTED else {}))
    with pytest.raises(CheckError, match=told):
        CHECKS[name].run(specimen)
    if fault not in BROKEN_THROUGHOUT:
        assert set(failing(CHECKS, specimen)) == {name}


@pytest.mark.parametrize("factory", ["right", "no_masks", "careful", "right_on_device", "not_on_device"])
def test_right_data_pass_and_the_random_state_is_left_alone(factory: str, root: Path) -> None:
    before = torch.manual_seed(11).get_state()
    assert failing(CHECKS, data(factory, **({"root": str(root)} if factory in ROOTED else {}))) == {}
    assert torch.equal(torch.get_rng_state(), before)


def test_the_built_in_shapes_pass() -> None:
    shapes = catalog().find("dataset", "shapes")
    assert failing(CHECKS, Specimen(shapes, {"train": 64, "test": 32})) == {}
    small = {"CenterCrop": {"height": 28, "width": 28}}
    changed = {"augment": [{"RandomCrop": {"height": 28, "width": 28}}, "HorizontalFlip"], "test_transform": [small]}
    assert failing(CHECKS, Specimen(shapes, {"train": 64, "test": 32, **changed})) == {}


def test_the_built_in_cifar10_passes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for split, name, number in (
        (s, n, i) for s, many in (("train", 3), ("test", 2)) for n in CLASSES for i in range(many)
    ):
        path = tmp_path / "png" / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    options = {"root": str(tmp_path / "png"), "augment": ["HorizontalFlip"]}
    assert failing(CHECKS, Specimen(catalog().find("dataset", "cifar10"), options)) == {}


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "no-data-no-network"])
def test_data_that_are_not_there_are_told_as_such(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="there is no file 'data'"):
        CHECKS[name].run(data("careful", root=str(tmp_path)))


def test_the_check_about_missing_data_needs_none(tmp_path: Path) -> None:
    CHECKS["no-data-no-network"].run(data("careful", root=str(tmp_path / "nowhere")))
    with pytest.raises(DataUnavailableError, match="on another machine"):
        CHECKS["no-data-no-network"].run(data("elsewhere"))


def test_missing_data_are_not_answered_from_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XAITOOL_CACHE", str(tmp_path))
    (tmp_path / "kept").touch()
    data("cached").build()
    CHECKS["no-data-no-network"].run(data("cached"))


def test_network_and_environment_come_back(root: Path) -> None:
    names = ("create_connection", "getaddrinfo")
    before = [getattr(socket, name) for name in names], vars(socket.socket).get("connect"), dict(os.environ)
    for factory in ("careful", "careless"):
        try:
            CHECKS["no-data-no-network"].run(data(factory, root=str(root)))
        except CheckError:
            assert factory == "careless"
    assert ([getattr(socket, name) for name in names], vars(socket.socket).get("connect"), dict(os.environ)) == before


def test_each_check_has_a_wrong_data_set() -> None:
    assert {name for name, _, _ in WRONG} == set(CHECKS)
