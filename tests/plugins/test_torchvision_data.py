"""torchvision's data sets, from files made here as torchvision lays them down."""

from __future__ import annotations

import hashlib
import io
import pickle
import socket
import tarfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from xaitool.building import component
from xaitool.contracts import DataBundle
from xaitool.data.archives import kept_inside
from xaitool.data.decode import decode
from xaitool.data.preprocess import Preprocess
from xaitool.errors import DataUnavailableError
from xaitool.stream.source import _steps
from xaitool_torchvision.config import AnySize, DataConfig, OneSize
from xaitool_torchvision.data import build
from xaitool_torchvision.sources import SOURCES

TRAIN, TEST = 30, 20


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def made(root: Path, name: str, **options: Any) -> DataBundle:
    return build(DataConfig(name=name, root=str(root), **options), seed=0)


def idx(array: np.ndarray[Any, Any]) -> bytes:
    """The format of MNIST's files (LeCun 1998): a magic number with the rank, the shape, the bytes."""
    head = [0x800 + array.ndim, *array.shape]
    return b"".join(number.to_bytes(4, "big") for number in head) + array.astype(np.uint8).tobytes()


def put_mnist(root: Path, top: int = 9) -> np.ndarray[Any, Any]:
    """Files of random digits with labels up to `top`; the training images."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (TRAIN + TEST, 28, 28), np.uint8)
    for prefix, images in (("train", pixels[:TRAIN]), ("t10k", pixels[TRAIN:])):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(len(images)) % (top + 1)))
    return pixels[:TRAIN]


def archive_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def put_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch, **more: bytes) -> Path:
    """An archive as the official one, but small; torchvision is told its checksums."""
    generator = np.random.default_rng(1)
    members = {
        name: pickle.dumps(
            {
                "data": generator.integers(0, 256, (count, 3072), np.uint8),
                "fine_labels": [row % 100 for row in range(count)],
            }
        )
        for name, count in (("train", 200), ("test", 100))
    }
    members["meta"] = pickle.dumps({"fine_label_names": [f"class {number}" for number in range(100)]})
    data = archive_of({f"cifar-100-python/{name}": content for name, content in members.items()} | more)
    root.mkdir(exist_ok=True)
    archive = root / datasets.CIFAR100.filename
    archive.write_bytes(data)

    def md5(content: bytes) -> str:
        return hashlib.md5(content).hexdigest()

    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", md5(data))
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", md5(members["train"])]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", md5(members["test"])]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", datasets.CIFAR100.meta | {"md5": md5(members["meta"])})
    return archive


def put_pets(root: Path) -> Path:
    """Photographs of different sizes with their lists; the folder of the photographs."""
    images, lists = root / "oxford-iiit-pet" / "images", root / "oxford-iiit-pet" / "annotations"
    images.mkdir(parents=True)
    lists.mkdir()
    for split, count in (("trainval", 6), ("test", 4)):
        lines = []
        for number in range(count):
            name = f"{('Bengal', 'beagle')[number % 2]}_{split}{number}"
            pixels = np.random.default_rng([number, count]).integers(0, 256, (50 + number, 70 - number, 3), np.uint8)
            Image.fromarray(pixels).save(images / f"{name}.jpg")
            lines.append(f"{name} {number % 2 + 1} {number % 2 + 1} 1")
        (lists / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return images


def test_every_name_is_known_and_is_torchvisions() -> None:
    names = {*get_args(OneSize), *get_args(AnySize)}
    assert names == SOURCES.keys()
    assert all(hasattr(datasets, name) for name in names)


def test_mnist(tmp_path: Path) -> None:
    pixels = put_mnist(tmp_path)
    bundle = made(tmp_path, "MNIST")
    assert bundle.classes[0] == "0 - zero"
    assert list(bundle.train_ids)[:2] == ["train/00000", "train/00001"]
    assert (len(bundle.train), len(bundle.test)) == (TRAIN, TEST)
    image, label = bundle.train[7]
    assert label == 7
    shown = bundle.display(image) * 255
    assert torch.allclose(shown, torch.from_numpy(pixels[7]).float().expand(3, 28, 28), atol=1e-3)
    assert bundle.mean == pytest.approx([float(pixels.mean()) / 255] * 3)
    assert bundle.std == pytest.approx([float(pixels.std()) / 255] * 3)


def test_cifar100_out_of_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_cifar100(tmp_path, monkeypatch)
    bundle = made(tmp_path, "CIFAR100")
    assert bundle.classes[99] == "class 99"
    assert (len(bundle.train), len(bundle.test)) == (200, 100)
    assert tuple(bundle.test[0][0].shape) == (3, 32, 32)
    again = made(tmp_path, "CIFAR100", download=False)
    assert again.fingerprint == bundle.fingerprint
    assert made(tmp_path, "CIFAR100", limit={"train": 100}).fingerprint != bundle.fingerprint


def test_pets_of_different_sizes(tmp_path: Path) -> None:
    put_pets(tmp_path)
    bundle = made(tmp_path, "OxfordIIITPet", download=False)
    assert {tuple(bundle.train[row][0].shape) for row in range(6)} == {(3, 224, 224)}
    assert [bundle.train[row][1] for row in range(6)] == [0, 1, 0, 1, 0, 1]


def test_nothing_there_and_no_network(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"no complete Flowers102 in .*; it could not be fetched: .*no net"):
        made(tmp_path, "Flowers102")
    with pytest.raises(DataUnavailableError, match=r"it is not there, and may not be fetched \(download: false\)"):
        made(tmp_path, "MNIST", download=False)
    with pytest.raises(DataUnavailableError, match="there is no folder"):
        made(tmp_path / "mistyped", "MNIST")


def test_an_archive_that_was_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = put_cifar100(tmp_path, monkeypatch)
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataUnavailableError, match="no complete CIFAR100"):
        made(tmp_path, "CIFAR100")


def test_a_pickle_that_is_not_the_archives_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_cifar100(tmp_path, monkeypatch)
    made(tmp_path, "CIFAR100")

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataUnavailableError, match="not found or corrupted"):
        made(tmp_path, "CIFAR100", download=False)
    assert not (tmp_path / "sprung").exists()


def test_labels_out_of_range(tmp_path: Path) -> None:
    put_mnist(tmp_path, top=11)
    with pytest.raises(DataUnavailableError, match=r"train labels of MNIST in .* from 0 to 9"):
        made(tmp_path, "MNIST")


def test_a_photograph_that_was_cut_short(tmp_path: Path) -> None:
    path = put_pets(tmp_path) / "Bengal_test0.jpg"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataUnavailableError, match=r"1 images of OxfordIIITPet in .* test/00000: .*truncated"):
        made(tmp_path, "OxfordIIITPet")


def test_members_of_an_archive_stay_in_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_cifar100(tmp_path / "root", monkeypatch, **{"../outside": b"x"})
    with pytest.raises(DataUnavailableError, match="outside"):
        made(tmp_path / "root", "CIFAR100")
    assert not (tmp_path / "outside").exists()


def test_also_where_a_library_unpacks_without_a_filter(tmp_path: Path) -> None:
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    archive = io.BytesIO(archive_of({"../outside": b"x"}))
    with tarfile.open(fileobj=archive) as tar, kept_inside(), pytest.raises(tarfile.OutsideDestinationError):
        tar.extractall(tmp_path / "inside")
    assert not (tmp_path / "outside").exists()
    assert tarfile.TarFile.__dict__.get("extraction_filter") is before


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_new_pictures_are_prepared_as_the_test_images_were_also_without_a_size(tmp_path: Path, fit: str) -> None:
    images = put_pets(tmp_path)
    options = {"name": "OxfordIIITPet", "root": str(tmp_path), "download": False, "fit": fit}
    folder = component("dataset", "torchvision", options)
    data = folder.build("data", seed=1)
    assert folder.as_recipe()["size"] == 224
    prepare = Preprocess(data.mean, data.std, (224, 224), _steps(folder.config))
    for number in range(4):
        (path,) = images.glob(f"*_test{number}.jpg")
        torch.testing.assert_close(prepare(decode(path)), data.test[number][0])
