"""Arrays of images: the same batches from the same seed, whoever fetches them; and the cache they are kept in."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xaitool.data.arrays import ImageArray, MaskArray, class_balanced
from xaitool.data.cache import cache_root, cached_folder
from xaitool.data.pipeline import check
from xaitool.engine.loading import make_loader

MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)
AUGMENT = check(
    [
        {"PadIfNeeded": {"min_height": 12, "min_width": 12, "border_mode": "reflect_101"}},
        {"RandomCrop": {"height": 8, "width": 8}},
        {"HorizontalFlip": {"p": 0.5}},
        {"CoarseDropout": {"num_holes_range": [1, 1], "hole_height_range": [2, 2], "hole_width_range": [2, 2], "p": 1}},
    ]
)


def pixels(count: int = 24, size: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def labels(count: int = 24) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) % 3


def saved(tmp_path: Path, images: NDArray[np.uint8]) -> Path:
    np.save(tmp_path / "images.npy", images)
    return tmp_path / "images.npy"


def batches(images: Any, workers: int, seed: int = 5) -> list[torch.Tensor]:
    return [batch for batch, _ in make_loader(images, 7, shuffle=True, seed=seed, workers=workers)]


def test_an_item_is_the_normalised_image() -> None:
    images = pixels()
    data = ImageArray(images, labels(), MEAN, STD)
    for index in (0, 5, 23):
        image, label = data[index]
        assert (image.dtype, image.shape, label, type(label)) == (torch.float32, (3, 8, 8), index % 3, int)
        expected = (images[index].astype(np.float64) / 255 - MEAN) / STD
        assert np.abs(image.numpy().transpose(1, 2, 0) - expected).max() < 1e-6
        back = (image.numpy().transpose(1, 2, 0) * STD + MEAN) * 255
        assert np.array_equal(back.round(), images[index])
        assert np.abs(back - images[index]).max() < 1e-3
    assert len(data) == 24
    with pytest.raises(IndexError):
        data[24]


def test_rows_choose_and_order() -> None:
    images, rows = pixels(), np.array([7, 3, 11])
    data = ImageArray(images, np.array([1, 0, 2]), MEAN, STD, rows=rows)
    whole = ImageArray(images, labels(), MEAN, STD)
    assert len(data) == 3
    for index, row in enumerate(rows):
        assert torch.equal(data[index][0], whole[row][0])
    assert [label for _, label in data] == [1, 0, 2]


def test_a_file_and_an_array_are_the_same(tmp_path: Path) -> None:
    mapped = ImageArray(saved(tmp_path, pixels()), labels(), MEAN, STD, AUGMENT)
    held = ImageArray(pixels(), labels(), MEAN, STD, AUGMENT)
    assert all(torch.equal(a, b) for a, b in zip(batches(mapped, 0), batches(held, 0), strict=True))


def test_a_batch_is_its_images() -> None:
    data = ImageArray(pixels(), labels(), MEAN, STD)
    batch = data.__getitems__([3, 1, 3])
    assert [label for _, label in batch] == [0, 1, 0]
    assert all(torch.equal(image, data[index][0]) for (image, _), index in zip(batch, [3, 1, 3], strict=True))


def test_the_array_itself_is_left_alone() -> None:
    images = pixels()
    data = ImageArray(images, labels(), MEAN, STD, AUGMENT)
    data[0][0].zero_()
    batches(data, 0)
    assert np.array_equal(images, pixels())


def test_augmentation_follows_from_torchs_seed_alone() -> None:
    data = ImageArray(pixels(), labels(), MEAN, STD, AUGMENT)
    torch.manual_seed(3)
    first, other = data[0][0], data[0][0]
    assert not torch.equal(first, other)
    np.random.seed(0)
    torch.manual_seed(3)
    assert torch.equal(data[0][0], first)


def test_images_of_a_batch_are_augmented_each_in_its_own_way() -> None:
    same = np.repeat(pixels(1), 16, axis=0)
    torch.manual_seed(0)
    batch = ImageArray(same, labels(16), MEAN, STD, AUGMENT).__getitems__(list(range(16)))
    assert len({image.numpy().tobytes() for image, _ in batch}) > 8


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    data = ImageArray(saved(tmp_path, pixels()), labels(), MEAN, STD, AUGMENT)
    alone, with_two = batches(data, 0), batches(data, 2)
    assert all(torch.equal(a, b) for a, b in zip(alone, with_two, strict=True))
    assert not torch.equal(alone[0], batches(data, 0, seed=6)[0])


def test_a_pickle_of_a_mapped_array_holds_no_image(tmp_path: Path) -> None:
    images = np.repeat(pixels(4, 32), 300, axis=0)
    data = ImageArray(saved(tmp_path, images), labels(1200), MEAN, STD, AUGMENT)
    data[0]
    text = pickle.dumps(data)
    assert len(text) < 50_000 < images.nbytes
    again = pickle.loads(text)
    assert len(again) == 1200
    torch.manual_seed(1)
    one = data[5][0]
    torch.manual_seed(1)
    assert torch.equal(again[5][0], one)
    held = ImageArray(images, labels(1200), MEAN, STD)
    assert torch.equal(pickle.loads(pickle.dumps(held))[5][0], held[5][0])


def test_transforms_may_change_the_size() -> None:
    data = ImageArray(pixels(), labels(), MEAN, STD, check([{"RandomCrop": {"height": 5, "width": 6}}]))
    assert data[0][0].shape == (3, 5, 6)


def test_transforms_that_fail_are_met_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="the transforms fail on an image of 8x8 pixels"):
        ImageArray(pixels(), labels(), MEAN, STD, check([{"RandomCrop": {"height": 9, "width": 9}}]))


# Masks


def test_masks_go_through_the_geometry_of_the_pipeline() -> None:
    masks: NDArray[np.bool_] = np.zeros((2, 8, 8), np.bool_)
    masks[0, 2:4, 3] = masks[1, :, 7] = True
    plain = MaskArray(masks)
    assert len(plain) == 2
    assert (plain[0].dtype, plain[0].shape) == (torch.bool, (8, 8))
    assert np.array_equal(plain[1].numpy(), masks[1])
    steps = check([{"CenterCrop": {"height": 4, "width": 4}}, {"HorizontalFlip": {"p": 1.0}}])
    cropped = MaskArray(masks, steps)
    assert np.array_equal(cropped[0].numpy(), masks[0, 2:6, 2:6][:, ::-1])
    assert cropped[0].sum() == 2
    image = np.repeat(masks[0][..., None], 3, axis=2).astype(np.uint8) * 255
    shown = ImageArray(image[None], np.zeros(1, np.int64), (0, 0, 0), (1, 1, 1), steps)[0][0]
    assert torch.equal(cropped[0], shown[0] > 0.5)


# A balanced choice


@pytest.mark.parametrize("count", [1, 7, 10, 23, 57, 60])
def test_classes_are_balanced(count: int) -> None:
    many = np.random.default_rng(1).permutation(np.arange(60) % 10)
    chosen = class_balanced(many, count, seed=3)
    assert len(set(chosen.tolist())) == count
    assert np.all(np.diff(chosen) > 0)
    counts = np.bincount(many[chosen], minlength=10)
    assert counts.max() - counts.min() <= 1


def test_a_class_that_runs_out_gives_all_it_has() -> None:
    uneven = np.array([0] * 50 + [1] * 3 + [2] * 20)
    assert np.bincount(uneven[class_balanced(uneven, 30, seed=0)]).tolist() in ([14, 3, 13], [13, 3, 14])


def test_the_choice_follows_from_the_seed() -> None:
    many = np.arange(1000) % 10
    assert np.array_equal(class_balanced(many, 100, 1), class_balanced(many, 100, 1))
    assert not np.array_equal(class_balanced(many, 100, 1), class_balanced(many, 100, 2))
    assert set(class_balanced(many, 50, 1)) < set(class_balanced(many, 100, 1))  # a larger one only adds
    with pytest.raises(ValueError, match="asks for 1001 images of 1000"):
        class_balanced(many, 1001, 1)


# The cache


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XAITOOL_CACHE", "~/mine")
    assert cache_root() == tmp_path / "mine"
    monkeypatch.setenv("XAITOOL_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "xaitool"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / ".cache" / "xaitool"


def test_a_folder_is_filled_once() -> None:
    def fill(folder: Path) -> None:
        (folder / "a").write_text("filled")
        calls.append(folder)

    calls: list[Path] = []
    first, second = cached_folder("k", fill), cached_folder("k", fill)
    assert first == second == cache_root() / "k"
    assert (first / "a").read_text() == "filled"
    assert len(calls) == 1
    assert [path.name for path in cache_root().iterdir()] == ["k"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_nothing(error: type[BaseException]) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise error

    with pytest.raises(error):
        cached_folder("k", fill)
    assert list(cache_root().iterdir()) == []
    assert cached_folder("k", lambda folder: None).is_dir()


def test_of_two_that_fill_it_at_once_the_first_wins() -> None:
    both_are_filling = threading.Barrier(2, timeout=10)
    places: list[Path] = []

    def fill(folder: Path) -> None:
        (folder / "by").write_text(threading.current_thread().name)
        both_are_filling.wait()

    threads = [threading.Thread(target=lambda: places.append(cached_folder("k", fill))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == [cache_root() / "k"] * 2
    assert [path.name for path in cache_root().iterdir()] == ["k"]
    assert (places[0] / "by").read_text() in {thread.name for thread in threads}


def test_a_pickle_holds_the_steps_and_not_albumentations() -> None:
    """A worker that unpickled a pipeline would import Albumentations, which then asks the network for a newer one."""
    images = np.zeros((2, 8, 8, 3), np.uint8)
    array = ImageArray(images, np.zeros(2, np.int64), (0.5,) * 3, (0.5,) * 3, [{"HorizontalFlip": {"p": 1.0}}])
    masks = MaskArray(np.eye(8, dtype=bool)[None], [{"HorizontalFlip": {"p": 1.0}}])
    for each in (array, masks):
        assert b"albumentations" not in pickle.dumps(each).lower()
        again = pickle.loads(pickle.dumps(each))
        first, second = each[0], again[0]
        assert torch.equal(first[0], second[0])
