"""A folder of images, whole or full of broken files."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from xaitool import Recipe, run
from xaitool.contracts import DataBundle
from xaitool.data.cache import cache_root
from xaitool.data.decode import decode
from xaitool.data.options import fitted
from xaitool.data.transforms import compose
from xaitool.errors import DataUnavailableError, XaitoolError
from xaitool_image_folder.config import Config
from xaitool_image_folder.data import build

CLASSES = ("cat", "dog")
ORANGE, BLUE = (255, 128, 0), (0, 64, 255)


def save(path: Path, colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    """A photograph, as it were: a colour and noise. size: width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *path.name.encode(), *path.parent.as_posix().encode()])
    pixels = np.clip(np.array(colour) + noise.integers(-20, 21, (size[1], size[0], 3)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def fill(folder: Path, count: int) -> Path:
    """`count` images of each class, no two of one size."""
    for name, colour in zip(CLASSES, (ORANGE, BLUE), strict=True):
        for number in range(count):
            save(folder / name / f"{number}.png", colour, (30 + 7 * number, 40 + number))
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Images for training and for the test."""
    root = tmp_path / "photographs"
    fill(root / "train", 4)
    fill(root / "test", 2)
    return root


def made(root: Path, seed: int = 0, **options: Any) -> DataBundle:
    return build(Config(root=str(root), **{"size": 16, **options}), seed=seed)


def all_ids(bundle: DataBundle) -> list[str]:
    return [*bundle.train_ids, *bundle.test_ids]


# Layouts


def test_train_and_test(tree: Path) -> None:
    bundle = made(tree)
    assert bundle.classes == CLASSES
    assert list(bundle.train_ids) == [f"train/{name}/{number}.png" for name in CLASSES for number in range(4)]
    assert list(bundle.test_ids) == [f"test/{name}/{number}.png" for name in CLASSES for number in range(2)]
    assert [label for _, label in (bundle.train[row] for row in range(8))] == [0] * 4 + [1] * 4
    assert {tuple(bundle.test[row][0].shape) for row in range(4)} == {(3, 16, 16)}
    assert (list(bundle.notes), list(bundle.skipped)) == ([], [])


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_other_names_for_the_test_folder(tree: Path, name: str) -> None:
    (tree / "test").rename(tree / name)
    assert all(each.startswith(f"{name}/") for each in made(tree).test_ids)


def test_one_folder_is_split_by_class_and_seed(tmp_path: Path) -> None:
    fill(tmp_path / "all", 10)
    bundle = made(tmp_path / "all", seed=1)
    tested = [name.partition("/")[0] for name in bundle.test_ids]
    assert [tested.count(name) for name in CLASSES] == [2, 2]
    assert sorted(all_ids(bundle)) == sorted(f"{name}/{number}.png" for name in CLASSES for number in range(10))
    assert made(tmp_path / "all", seed=1).test_ids == bundle.test_ids
    assert made(tmp_path / "all", seed=2).test_ids != bundle.test_ids
    assert len(made(tmp_path / "all", test=0.5).test_ids) == 10


def test_a_train_folder_alone_is_split_too(tree: Path) -> None:
    for path in (tree / "test").rglob("*.png"):
        path.unlink()
    for path in (tree / "test/cat", tree / "test/dog", tree / "test"):
        path.rmdir()
    assert len(made(tree).test_ids) == 2


def test_a_fraction_beside_a_test_folder_is_a_mistake(tree: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"there are test images in .*test; leave out 'test: 0\.2'"):
        made(tree, test=0.2)


def test_images_in_folders_of_a_class_and_links_to_images(tree: Path, tmp_path: Path) -> None:
    save(tree / "train/cat/more/deep.png")
    (tree / "train/dog/linked.png").symlink_to(save(tmp_path / "elsewhere.png", BLUE))
    assert {"train/cat/more/deep.png", "train/dog/linked.png"} <= set(made(tree).train_ids)


def test_hidden_files_are_none_of_ours(tree: Path) -> None:
    for name in (".DS_Store", "train/.hidden", "train/cat/._0.png", "train/cat/Thumbs.db", "train/.git/x/y.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"whatever")
    assert list(made(tree, strict=True).skipped) == []


# What is in the images


@pytest.mark.parametrize(("fit", "corner"), [("crop", 255), ("pad", 0), ("stretch", 255)])
def test_how_a_picture_comes_to_its_size(tmp_path: Path, fit: str, corner: int) -> None:
    """A wide white picture: only where it is padded is there black at the top."""
    for name in CLASSES:
        for number in range(2):
            save(tmp_path / name / f"{number}.png", (255 + 20, 255 + 20, 255 + 20), (90, 30))
    image, _ = made(tmp_path, fit=fit, size=[12, 24], mean=(0, 0, 0), std=(1, 1, 1)).test[0]
    assert tuple(image.shape) == (3, 12, 24)
    assert image[0, 0, 0] * 255 == corner
    assert image[0, 6, 12] * 255 == 255


def test_what_becomes_smaller_is_averaged_over(tmp_path: Path) -> None:
    """Picked pixels of a fine chessboard would be black or white."""
    board = (np.indices((160, 160)).sum(0) % 2 * 255).astype(np.uint8)
    for name in CLASSES:
        for number in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.roll(board, number, 0)).save(tmp_path / name / f"{number}.png")
    image, _ = made(tmp_path, size=20, mean=(0, 0, 0), std=(1, 1, 1)).test[0]
    assert (image - 0.5).abs().max() < 0.01


def test_mean_and_std_are_those_of_the_training_images(tree: Path) -> None:
    bundle = made(tree)
    pixels = torch.stack([bundle.display(bundle.sample[row][0]) for row in range(8)])  # type: ignore[index]
    assert torch.allclose(torch.tensor(bundle.mean), pixels.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(torch.tensor(bundle.std), pixels.std((0, 2, 3), correction=0), atol=1e-5)


def test_mean_and_std_are_computed_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(tree)
    before = sorted(path.name for path in cache_root().iterdir())
    monkeypatch.setattr("xaitool.data.moments._moments", lambda *_: pytest.fail("computed again"))
    assert made(tree).mean == first.mean
    assert sorted(path.name for path in cache_root().iterdir()) == before


def test_mean_without_std_is_a_mistake(tree: Path) -> None:
    with pytest.raises(ValidationError, match="mean and std go together"):
        Config(root=str(tree), mean=(0, 0, 0))


def test_images_are_decoded_when_they_are_asked_for(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tree)
    asked: list[str] = []

    def noting(path: Path) -> Any:
        asked.append(path.name)
        return decode(path)

    monkeypatch.setattr("xaitool.data.pictures.decode", noting)
    bundle = made(tree)
    assert asked == []
    bundle.train[1]
    assert asked == ["1.png"]


def test_sizes_that_differ_without_a_size(tree: Path) -> None:
    with pytest.raises(XaitoolError, match="give a size, or let augment and test_transform end in one"):
        made(
            tree,
            size=None,
            augment=[{"HorizontalFlip": {}}],
            test_transform=[{"CenterCrop": {"height": 8, "width": 8}}],
        )
    crop = [{"RandomCrop": {"height": 8, "width": 8}}]
    bundle = made(tree, size=None, augment=crop, test_transform=[{"CenterCrop": {"height": 8, "width": 8}}])
    assert tuple(bundle.train[0][0].shape) == (3, 8, 8)


def test_sizes_that_differ_without_any_transform(tree: Path) -> None:
    with pytest.raises(XaitoolError, match="the images differ in size"):
        made(tree, size=None)


def test_a_limit(tree: Path) -> None:
    bundle = made(tree, limit={"train": 4, "test": 2})
    assert sorted(name.split("/")[1] for name in bundle.train_ids) == ["cat", "cat", "dog", "dog"]
    assert [bundle.train[row][1] for row in range(4)] == [0, 0, 1, 1]
    with pytest.raises(XaitoolError, match=r"limit.train asks for 9 images, but there are 8"):
        made(tree, limit={"train": 9})


# The fingerprint


def test_the_fingerprint_is_of_the_data(tree: Path, tmp_path: Path) -> None:
    first = made(tree).fingerprint
    moved = tree.rename(tmp_path / "moved")
    assert made(moved).fingerprint == first
    assert made(moved, augment=["HorizontalFlip"]).fingerprint == first
    assert made(moved, size=17).fingerprint != first
    save(moved / "train/cat/0.png", ORANGE, (30, 40), seed=5)
    assert made(moved).fingerprint != first


# Ten kinds of broken files


def broken(folder: Path) -> set[str]:
    """Files that are no images, each in its way; their names."""
    whole = save(folder / "good.png").read_bytes()
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(folder / "nan.tiff")
    contents = {
        "empty.png": b"",
        "cut.png": whole[: len(whole) // 2],
        "text.jpg": b"this is no image\n",
        "page.png": b"<!DOCTYPE html><title>404</title>",
        "head-only.png": whole[:8],
        "noise.jpg": np.random.default_rng(1).bytes(500),
        "archive.png": b"PK\3\4" + bytes(40),
        "flipped.png": bytes(byte ^ (0xFF if 60 < place < 90 else 0) for place, byte in enumerate(whole)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "nowhere.png").symlink_to(folder / "not there.png")
    os.mkfifo(folder / "pipe.png")
    return {*contents, "nan.tiff", "nowhere.png", "pipe.png"}


def test_broken_files_are_left_out_counted_and_listed(tree: Path) -> None:
    names = broken(tree / "train/cat")
    assert len(names) >= 10
    (tree / "train/loose.txt").write_text("a note")
    bundle = made(tree)
    told = dict(bundle.skipped)
    assert set(told) == {f"train/cat/{name}" for name in names} | {"train/loose.txt"}
    assert told["train/cat/nan.tiff"].endswith("it has pixels that are no numbers (NaN or infinite)")
    assert told["train/loose.txt"] == "it lies in no class's folder"
    assert len(bundle.train) == 9
    assert all(bundle.train[row][0].isfinite().all() for row in range(9))
    assert made(tree).skipped == bundle.skipped  # from the cache


def test_broken_files_are_an_error_where_we_are_strict(tree: Path) -> None:
    broken(tree / "train/cat")
    with pytest.raises(DataUnavailableError, match=r"11 files cannot be used \(strict: true\)") as caught:
        made(tree, strict=True)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 10 + 1 + 1
    assert lines[11].strip() == "... and 1 more"


def test_a_file_that_could_not_be_read_is_tried_again(tree: Path) -> None:
    """A permission may be given meanwhile, which the file's size and time do not tell."""
    path = tree / "train/cat/0.png"
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(made(tree).skipped) == 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(made(tree).skipped) == 0


def test_a_run_tells_what_it_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "train/cat/text.jpg").write_bytes(b"no image")
    recipe = Recipe.parse(
        f"""
        recipe: 1
        name: photographs
        dataset: {{use: image_folder, root: {tree}, size: 16}}
        model: {{use: timm, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}}
        train: {{epochs: 1, batch_size: 4, scheduler: {{use: onecycle, max_lr: 0.05}}}}
        explain: {{metrics: [], judge: {{images: 0}}, triage: false}}
        """
    )
    done = run(recipe, out=tmp_path / "runs")
    told = (done.folder / "skipped.json").read_text()
    assert '"name": "train/cat/text.jpg"' in told
    assert done.journal["stages"]["data"]["skipped"] == 1
    assert "1 file was left out, and listed in skipped.json; train/cat/text.jpg: it is no image" in (
        done.folder / "run.log"
    ).read_text().replace("\n", " ")


# What cannot be trained on


def test_an_empty_class(tree: Path) -> None:
    (tree / "train/bird").mkdir()
    (tree / "train/bird/text.jpg").write_bytes(b"no image")
    with pytest.raises(
        DataUnavailableError, match=r"no image that can be read of 'bird' \(train/bird/text\.jpg: it is no im"
    ):
        made(tree)


def test_a_class_that_is_not_tested(tree: Path) -> None:
    save(tree / "train/bird/0.png")
    assert list(made(tree).notes) == ["no test images of bird"]


def test_one_class_only(tmp_path: Path) -> None:
    save(tmp_path / "cat/0.png")
    with pytest.raises(DataUnavailableError, match="but one class, 'cat'; there should be a folder for each of two"):
        made(tmp_path)


def test_images_without_folders_of_classes(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    with pytest.raises(DataUnavailableError, match=r"no classes \(1 files lie in no class's folder\)"):
        made(tmp_path)


def test_a_test_class_that_was_never_learnt(tree: Path) -> None:
    (tree / "test/cat").rename(tree / "test/cats")
    with pytest.raises(DataUnavailableError, match=r"cats is no class of .*train; did you mean 'cat'"):
        made(tree)


def test_a_single_image_of_each_class(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with pytest.raises(DataUnavailableError, match="one image of each class; none is left to test on"):
        made(tmp_path)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="none: no such folder"):
        made(tmp_path / "none")
    with pytest.raises(DataUnavailableError, match="a file, not a folder"):
        made(save(tmp_path / "0.png"))


def test_a_test_folder_without_a_train_folder(tree: Path) -> None:
    (tree / "train").rename(tree / "training")
    with pytest.raises(DataUnavailableError, match="has test, but no train; rename a folder"):
        made(tree)


def test_the_same_picture_in_both_splits_is_told(tree: Path) -> None:
    (tree / "test/dog/copy.png").write_bytes((tree / "train/dog/1.png").read_bytes())
    assert list(made(tree).notes) == ["1 test image is a training image too, to the pixel: test/dog/copy.png"]


def test_a_name_that_is_no_utf8(tree: Path) -> None:
    path = save(tree / "train/cat/last.png")
    path.rename(path.with_name(os.fsdecode(b"\xff.png")))
    ids = list(made(tree).train_ids)
    assert "train/cat/\\xff.png" in ids
    "".join(ids).encode()


def test_folders_beside_the_splits_are_told(tree: Path) -> None:
    fill(tree / "val", 1)
    fill(tree / "trian", 1)
    (tree / ".hidden").mkdir()
    trian, val = made(tree).notes
    assert val.endswith("val is left out: the test images are those in 'test'")
    assert "trian is left out: it lies beside 'train'" in trian
    assert trian.endswith("; did you mean 'train'?")
    shutil.rmtree(tree / "trian")
    (tree / "test").rename(tree / "tests")
    (note,) = made(tree).notes  # val are the test images now
    assert "tests is left out: it lies beside 'train', and is neither that nor 'val'" in note


@pytest.mark.parametrize(("names", "meant"), [(("train", "Test"), "test"), (("TRAIN", "Val"), "train")])
def test_splits_in_another_case_are_an_error(tmp_path: Path, names: tuple[str, str], meant: str) -> None:
    for name in names:
        fill(tmp_path / name, 2)
    wrong = next(name for name in names if name != name.lower())
    with pytest.raises(DataUnavailableError, match=rf"a folder '{wrong}'; did you mean '{meant}'\? Rename it"):
        made(tmp_path)


def test_a_class_called_train_with_a_capital(tmp_path: Path) -> None:
    for name in ("Car", "Train"):
        for number in range(5):
            save(tmp_path / name / f"{number}.png")
    assert made(tmp_path).classes == ("Car", "Train")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_very_long_picture_takes_no_more_memory_than_others(fit: str) -> None:
    """Scaled until it covers 64 x 64, a line of 60,000 pixels would take 740 MB."""
    pipeline = compose(fitted(64, fit))
    for width, height in ((60_000, 1), (1, 60_000)):
        picture = np.zeros((height, width, 3), np.uint8)
        tracemalloc.start()
        assert pipeline(image=picture)["image"].shape == (64, 64, 3)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000


def test_pictures_of_usual_shapes_are_cut_as_ever() -> None:
    steps, draw = fitted((24, 32), "crop"), np.random.default_rng(0)
    for height, width in ((40, 56), (40, 150), (90, 30), (24, 32)):
        picture = draw.integers(0, 256, (height, width, 3), np.uint8)
        assert np.array_equal(compose(steps)(image=picture)["image"], compose(steps[1:])(image=picture)["image"])
