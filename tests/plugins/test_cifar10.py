"""CIFAR-10: from an archive that is checked before it is opened, or from PNG files; decoded once, always the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10

import xaitool
from xaitool.cli import main
from xaitool.contracts import DataBundle
from xaitool.data.cache import cache_root
from xaitool.engine.data import load_data
from xaitool.engine.loading import make_loader
from xaitool.errors import DataUnavailableError, RecipeError, XaitoolError
from xaitool.recipe.resolve import Recipe
from xaitool_cifar10.config import Config
from xaitool_cifar10.data import build
from xaitool_cifar10.sources import CLASSES

AUGMENT = """
    - PadIfNeeded: {min_height: 36, min_width: 36, border_mode: reflect_101}
    - RandomCrop: {height: 32, width: 32}
    - HorizontalFlip: {p: 0.5}
    - CoarseDropout: {num_holes_range: [1, 1], hole_height_range: [8, 8], hole_width_range: [8, 8], p: 1.0}
"""
PER_BATCH, TEST = 12, 20  # of training images in each of five batches, of test images


# A small archive in the form of the official one


class Evil:
    """What executes when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


class Official:
    """The files of an archive, and the md5 sums that torchvision is to expect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        draw = np.random.default_rng(1)
        self.images = draw.integers(0, 256, (5 * PER_BATCH + TEST, 3072), np.uint8)
        self.labels = draw.permutation(np.arange(len(self.images)) % 10).tolist()
        names = [*[f"data_batch_{number}" for number in range(1, 6)], "test_batch"]
        starts = range(0, 6 * PER_BATCH, PER_BATCH)
        slices = [slice(start, start + PER_BATCH) for start in starts[:5]] + [slice(5 * PER_BATCH, None)]
        self.files = {
            name: pickle.dumps({"data": self.images[rows], "labels": self.labels[rows]})
            for name, rows in zip(names, slices, strict=True)
        }
        self.files["batches.meta"] = pickle.dumps({"label_names": list(CLASSES)})
        self.archive = self.pack()
        sums = {name: hashlib.md5(content).hexdigest() for name, content in self.files.items()}
        monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(self.archive).hexdigest())
        monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
        monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})

    def pack(self) -> bytes:
        """The archive with the files as they are now."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    def put(self, root: Path, content: bytes | None = None) -> Path:
        root.mkdir(exist_ok=True)
        path = root / "cifar-10-python.tar.gz"
        path.write_bytes(self.archive if content is None else content)
        return path

    def unpack(self, root: Path) -> Path:
        folder = root / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def split(self, name: str) -> tuple[NDArray[np.uint8], list[int]]:
        """Images N×32×32×3 and labels, in the archive's order."""
        rows = slice(0, 5 * PER_BATCH) if name == "train" else slice(5 * PER_BATCH, None)
        return self.images[rows].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), self.labels[rows]


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Official:
    return Official(monkeypatch)


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> str:
    """The place to download from is one where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/cifar-10-python.tar.gz"
    monkeypatch.setattr(CIFAR10, "url", url)
    return url


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the network fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("nobody should ask the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class Cut(BaseHTTPRequestHandler):
    """Breaks off in the middle of an answer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"half of it")

    def log_message(self, *args: object) -> None:
        pass


def serve(handler: Any, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    return server


@pytest.fixture
def served(official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive is to be had over http; the file that is served."""
    archive = official.put(tmp_path / "server")
    server = serve(partial(Quiet, directory=archive.parent), monkeypatch)
    yield archive
    server.shutdown()
    server.server_close()


def made(root: Path, seed: int = 0, **options: Any) -> DataBundle:
    return build(Config(root=str(root), **options), seed=seed)


def cached() -> list[str]:
    """What is in the cache, half-written things included."""
    return sorted(path.name for path in cache_root().iterdir()) if cache_root().exists() else []


def shown(bundle: DataBundle, images: Any) -> NDArray[np.uint8]:
    """A split as pixels N×H×W×3."""
    pixels = torch.stack([bundle.display(image) for image, _ in images]) * 255
    assert (pixels - pixels.round()).abs().max() < 1e-3
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def assert_is(bundle: DataBundle, official: Official) -> None:
    """The pixels, labels, ids and order of the archive."""
    for name, split, ids in (("train", bundle.sample, bundle.train_ids), ("test", bundle.test, bundle.test_ids)):
        images, labels = official.split(name)
        assert np.array_equal(shown(bundle, split), images)
        assert [label for _, label in split] == labels
        assert ids == [f"{name}/{index:05d}" for index in range(len(labels))]
    assert bundle.classes == CLASSES


# The official archive


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("download", [True, False])
def test_the_archive_in_root(official: Official, tmp_path: Path, download: bool) -> None:
    archive = official.put(tmp_path / "data")
    first = made(tmp_path / "data", download=download)
    assert_is(first, official)
    archive.unlink()
    for file in (tmp_path / "data" / "cifar-10-batches-py").iterdir():
        file.unlink()
    second = made(tmp_path / "data", download=download)  # from the cache
    assert_is(second, official)
    assert first.fingerprint == second.fingerprint
    assert len(cached()) == 1


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("download", [True, False])
def test_the_unpacked_folder_in_root(official: Official, tmp_path: Path, download: bool) -> None:
    official.unpack(tmp_path / "data")
    assert_is(made(tmp_path / "data", download=download), official)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """Data are fetched into folders that are there."""
    for name in ("data", "c", "elsewhere", "new/data"):
        (tmp_path / name).mkdir(parents=True)


def test_the_archive_from_the_network(official: Official, served: Path, tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    assert_is(made(root), official)
    assert (root / "cifar-10-python.tar.gz").read_bytes() == official.archive
    served.unlink()
    assert_is(made(tmp_path / "elsewhere"), official)  # the cache is of the archive, not of the folder


def test_all_ways_give_the_same(official: Official, served: Path, tmp_path: Path, monkeypatch: Any) -> None:
    official.put(tmp_path / "a")
    official.unpack(tmp_path / "b")
    fingerprints = set()
    for name in ("a", "b", "c"):
        monkeypatch.setenv("XAITOOL_CACHE", str(tmp_path / f"cache-{name}"))
        fingerprints.add(made(tmp_path / name).fingerprint)
    assert len(fingerprints) == 1


def test_root_may_begin_with_a_tilde(official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    official.put(tmp_path / "data")
    assert_is(made(Path("~/data"), download=False), official)


# Nothing is opened that is not what it should be


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("how", ["another", "truncated", "empty", "evil", "folder"])
def test_a_wrong_archive_is_not_opened(how: str, official: Official, tmp_path: Path) -> None:
    root, trace = tmp_path / "data", tmp_path / "executed"
    content = {"another": official.archive + b"x", "truncated": official.archive[:-100], "empty": b""}.get(how)
    if how == "evil":
        official.files["data_batch_1"] = pickle.dumps(Evil(trace))
        content = official.pack()
    if how == "folder":
        (root / "cifar-10-python.tar.gz").mkdir(parents=True)
    else:
        official.put(root, content)
    with pytest.raises(DataUnavailableError) as caught:
        made(root)
    assert str(caught.value) == (
        f"{root}/cifar-10-python.tar.gz is not the official CIFAR-10 archive, or is damaged: its md5 is not "
        f"{CIFAR10.tgz_md5}; replace it, or delete it to have it fetched again"
    )
    assert not trace.exists()
    assert not (root / "cifar-10-batches-py").exists()
    assert cached() == []


def test_the_evil_pickle_of_these_tests_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_tampered_batch_is_not_opened(
    name: str, download: bool, official: Official, closed_port: str, tmp_path: Path
) -> None:
    root, trace = tmp_path / "data", tmp_path / "executed"
    (official.unpack(root) / name).write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(DataUnavailableError) as caught:
        made(root, download=download)
    assert f"{root}/cifar-10-batches-py: there, but not complete and as it was published" in str(caught.value)
    assert not trace.exists()
    assert cached() == []


@pytest.mark.usefixtures("no_network")
def test_a_tampered_batch_is_unpacked_again_where_the_archive_is_there(official: Official, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    (official.unpack(tmp_path / "data") / "data_batch_2").write_bytes(pickle.dumps(Evil(trace)))
    official.put(tmp_path / "data")
    assert_is(made(tmp_path / "data", download=False), official)
    assert not trace.exists()


def test_what_the_network_gives_is_checked_too(official: Official, served: Path, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    official.files["data_batch_1"] = pickle.dumps(Evil(trace))
    good = served.read_bytes()
    served.write_bytes(official.pack())
    with pytest.raises(DataUnavailableError, match=r"fetching http://127.0.0.1:\d+/cifar-10-python.tar.gz: "):
        made(tmp_path / "data")
    assert not trace.exists()
    assert cached() == []
    served.write_bytes(good)
    made(tmp_path / "data")  # nothing of the first attempt stands in the way of the second


def test_a_download_that_breaks_off_leaves_nothing(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Cut, monkeypatch)
    with pytest.raises(DataUnavailableError, match="fetching http://127"):
        made(tmp_path / "data")
    server.shutdown()
    server.server_close()
    assert list((tmp_path / "data").iterdir()) == []
    assert cached() == []


def test_an_archive_that_cannot_be_unpacked_says_so(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = official.put(tmp_path / "data")
    (tmp_path / "data" / "cifar-10-batches-py").write_text("a file where the folder should be")
    with pytest.raises(DataUnavailableError) as caught:
        made(tmp_path / "data")
    assert f"{archive}: unpacking it: " in str(caught.value)
    assert "fetching" not in str(caught.value)
    assert archive.exists()
    assert cached() == []


# No data


def test_a_mistyped_root_is_answered_neither_from_the_cache_nor_from_the_network(
    official: Official, served: Path, tmp_path: Path
) -> None:
    made(tmp_path / "data")  # now the cache has it
    with pytest.raises(DataUnavailableError, match="fetching it: the folder does not exist"):
        made(tmp_path / "date")
    assert not (tmp_path / "date").exists()


@pytest.mark.parametrize("download", [True, False])
def test_no_data_is_an_error_that_says_what_was_tried_and_what_to_do(
    download: bool, official: Official, closed_port: str, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    with pytest.raises(DataUnavailableError) as caught:
        made(root, download=download)
    lines = str(caught.value).splitlines()
    assert lines[:4] == [
        "there is no CIFAR-10 to be had. Tried:",
        f"  {root}/train/<class>/*.png: not there",
        f"  {root}/cifar-10-batches-py: not there",
        f"  {root}/cifar-10-python.tar.gz: not there",
    ]
    fetching = f"fetching {closed_port}: <urlopen error" if download else "fetching it: not allowed (download: false)"
    assert lines[4].startswith(f"  {fetching}")
    assert lines[5:] == [
        "  Ways out:",
        f"  - put the official archive at {root}/cifar-10-python.tar.gz (md5 {CIFAR10.tgz_md5})",
        "  - point dataset.root at a folder with the archive, or with train/<class>/*.png and test/<class>/*.png "
        "(--set dataset.root=FOLDER)",
        "  - run the quickstart, which needs no data: xaitool run quickstart",
    ]
    assert cached() == []


def test_no_data_from_the_command_line(
    closed_port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", "cifar10_cpu", "--set", "dataset.root=data", "--set", "runtime.device=cpu"])
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert "there is no CIFAR-10 to be had. Tried:" in output.err
    assert closed_port in output.err
    assert "Traceback" not in output.err + output.out


def test_root_that_is_a_file(official: Official, closed_port: str, tmp_path: Path) -> None:
    (tmp_path / "data").rmdir()
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(DataUnavailableError, match="there is no CIFAR-10 to be had"):
        made(tmp_path / "data")


# The tree of PNG files


def tree(root: Path, train: int = 3, test: int = 2) -> NDArray[np.uint8]:
    """Write so many images of each class; they are what is returned, train then test, by class and name."""
    images = np.random.default_rng(2).integers(0, 256, (10 * (train + test), 32, 32, 3), np.uint8)
    rest = iter(images)
    for split, count in (("train", train), ("test", test)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(next(rest)).save(folder / f"{number:04d}.png")
    return images


@pytest.mark.usefixtures("no_network")
def test_a_tree_of_png_files(tmp_path: Path) -> None:
    images = tree(tmp_path / "png")
    bundle = made(tmp_path / "png")
    assert bundle.sample is not None
    assert np.array_equal(shown(bundle, bundle.sample), images[:30])
    assert np.array_equal(shown(bundle, bundle.test), images[30:])
    assert [label for _, label in bundle.train] == [label for label in range(10) for _ in range(3)]
    assert [label for _, label in bundle.test] == [label for label in range(10) for _ in range(2)]
    assert bundle.train_ids[:3] == ["train/airplane/0000", "train/airplane/0001", "train/airplane/0002"]
    assert bundle.train_ids[3] == "train/automobile/0000"
    assert bundle.test_ids[-1] == "test/truck/0001"
    assert bundle.classes == CLASSES


def test_a_tree_is_decoded_once_and_again_when_a_file_changes(tmp_path: Path) -> None:
    root = tmp_path / "png"
    images = tree(root)
    first = made(root)
    assert made(root).fingerprint == first.fingerprint
    assert len(cached()) == 1
    changed = root / "train" / "cat" / "0001.png"
    Image.fromarray(255 - images[10]).save(changed)
    os.utime(changed, ns=(1, 1))  # whatever the clock's resolution
    second = made(root)
    assert len(cached()) == 2
    assert second.sample is not None
    assert np.array_equal(shown(second, second.sample)[10], 255 - images[10])
    assert second.fingerprint != first.fingerprint
    changed.rename(changed.with_name("0009.png"))
    assert made(root).train_ids[10:12] == ["train/cat/0002", "train/cat/0009"]


def test_the_fingerprint_is_of_the_data_and_not_of_the_place(tmp_path: Path) -> None:
    tree(tmp_path / "a")
    tree(tmp_path / "b")
    assert made(tmp_path / "a").fingerprint == made(tmp_path / "b").fingerprint


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_png_files_of_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    tree(tmp_path / "png")
    path = tmp_path / "png" / "train" / "airplane" / "0000.png"
    Image.fromarray(np.full((32, 32), 77, np.uint8)).convert(mode).save(path)
    bundle = made(tmp_path / "png")
    assert bundle.sample is not None
    assert np.all(shown(bundle, bundle.sample)[0] == 77)


def png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as an image: "),
        (b"not a PNG", "cannot be read as an image: "),
        (png((32, 32))[:-200], "cannot be read as an image: "),
        (png((32, 32))[:20], "cannot be read as an image: "),
        (png((32, 32)).replace(b"IHDR", b"IHDX"), "cannot be read as an image: "),
        (png((32, 32)).replace(b"\x00\x00\x00\rIHDR", b"\x00\x00\x00\x01IHDR"), "cannot be read as an image: "),
        (png((32, 31)), "has 32x31 pixels; CIFAR-10 images have 32x32"),
        (png((64, 64)), "has 64x64 pixels; CIFAR-10 images have 32x32"),
    ],
)
def test_a_file_that_is_no_such_image_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    tree(tmp_path / "png")
    path = tmp_path / "png" / "test" / "frog" / "0001.png"
    path.write_bytes(content)
    with pytest.raises(XaitoolError) as caught:
        made(tmp_path / "png")
    assert str(caught.value).startswith(f"{path} {message}")
    assert cached() == []


@pytest.mark.usefixtures("no_network")
def test_a_tree_that_is_not_whole(tmp_path: Path) -> None:
    root = tmp_path / "png"
    tree(root)

    def problem() -> str:
        with pytest.raises(DataUnavailableError) as caught:
            made(root)
        assert cached() == []
        return str(caught.value)

    for path in (root / "train" / "ship").iterdir():
        path.rename(path.with_suffix(".jpg"))
    assert problem().startswith(f"{root}/train/ship holds no PNG files; there should be airplane, automobile, ")
    for path in (root / "train" / "ship").iterdir():
        path.rename(path.with_suffix(".png"))
    (root / "train" / "ship").rename(root / "ship")
    assert problem().startswith(f"{root}/train/ship holds no PNG files; there should be airplane, automobile, ")
    (root / "ship").rename(root / "train" / "ships")
    assert problem() == f"{root}/train/ships is no class of CIFAR-10; did you mean 'ship'?"
    (root / "train" / "ships").rename(root / "train" / "ship")
    (root / "train" / "zebra").mkdir()
    assert problem() == f"{root}/train/zebra is no class of CIFAR-10"
    (root / "train" / "zebra").rename(root / "train" / ".zebra")  # hidden: a tool's, not the user's
    (root / "train" / "notes.txt").write_text("a file")
    (root / "test").rename(root / "text")
    assert problem().startswith(f"{root}/test/airplane holds no PNG files")
    (root / "text").rename(root / "test")
    assert len(made(root).train) == 30


# A limit


@pytest.fixture
def many(tmp_path: Path) -> tuple[Path, NDArray[np.uint8]]:
    return tmp_path / "png", tree(tmp_path / "png", train=6, test=4)


@pytest.mark.parametrize(("train", "test"), [(10, 10), (23, 37), (59, 39), (60, None)])
def test_a_limit_is_balanced_and_keeps_things_together(
    train: int, test: int | None, many: tuple[Path, NDArray[np.uint8]]
) -> None:
    root, images = many
    bundle = made(root, seed=3, limit={"train": train, "test": test})
    assert bundle.sample is not None
    assert len(bundle.train) == len(bundle.sample) == len(bundle.train_ids) == train
    assert len(bundle.test) == len(bundle.test_ids) == (test or 40)
    splits = [(bundle.sample, bundle.train_ids, 6, 0), (bundle.test, bundle.test_ids, 4, 60)]
    for split, ids, per_class, start in splits:
        labels = [label for _, label in split]
        counts = np.bincount(labels, minlength=10)
        assert counts.max() - counts.min() <= 1
        assert len(set(ids)) == len(ids)
        for pixels, label, name in zip(shown(bundle, split), labels, ids, strict=True):
            _, of_class, number = name.split("/")
            assert CLASSES[label] == of_class
            assert np.array_equal(pixels, images[start + label * per_class + int(number)])


def test_a_limit_follows_from_the_seed(many: tuple[Path, NDArray[np.uint8]]) -> None:
    root, _ = many
    limit = {"train": 20, "test": 20}
    one, same, other = (made(root, seed=seed, limit=limit) for seed in (1, 1, 2))
    assert one.train_ids == same.train_ids
    assert one.fingerprint == same.fingerprint
    assert set(one.train_ids) != set(other.train_ids)
    assert set(one.test_ids) != set(other.test_ids)
    whole = made(root)
    assert len({one.fingerprint, other.fingerprint, whole.fingerprint}) == 3
    assert made(root, limit={"train": 60, "test": 40}).fingerprint == whole.fingerprint  # the same data
    assert len(cached()) == 1


def test_more_than_there_are_is_an_error(many: tuple[Path, NDArray[np.uint8]]) -> None:
    with pytest.raises(XaitoolError, match=r"limit\.train asks for 61 images, but there are 60$"):
        made(many[0], limit={"train": 61})
    with pytest.raises(XaitoolError, match=r"limit\.test asks for 41 images, but there are 40$"):
        made(many[0], limit={"test": 41})


# What the engine is promised

RECIPE = """\
recipe: 1
name: t
dataset:
  use: cifar10
  root: {root}
  augment: {augment}
  test_transform: {test}
model: resnet18
train: {{epochs: 1, scheduler: lr_finder_onecycle}}
"""


def loaded(root: Path, augment: str = AUGMENT, test: str = "[]", seed: int = 0) -> DataBundle:
    """Through the recipe and the engine's seam."""
    return load_data(Recipe.parse(RECIPE.format(root=root, augment=augment, test=test)).dataset, seed)


def test_the_contract(many: tuple[Path, NDArray[np.uint8]]) -> None:
    root, images = many
    bundle = loaded(root)
    assert bundle.sample is not None
    assert (bundle.mean, bundle.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    for split in (bundle.train, bundle.test, bundle.sample):
        image, label = split[0]
        assert (image.dtype, image.shape, type(label)) == (torch.float32, (3, 32, 32), int)
    expected = (images[60:].astype(np.float64) / 255 - bundle.mean) / bundle.std
    found = torch.stack([image for image, _ in bundle.test]).permute(0, 2, 3, 1).numpy()
    assert np.abs(found - expected).max() < 1e-6
    assert all(torch.equal(bundle.test[index][0], bundle.test[index][0]) for index in range(40))
    assert not torch.equal(bundle.train[0][0], bundle.train[0][0])
    assert torch.equal(bundle.sample[0][0], bundle.sample[0][0])
    assert len({*bundle.train_ids, *bundle.test_ids}) == 100
    assert bundle.test_masks is None


def test_own_mean_and_std(many: tuple[Path, NDArray[np.uint8]]) -> None:
    root, images = many
    bundle = made(root, mean=(0, 0, 0), std=(1, 1, 1))
    expected = torch.from_numpy(images[60]).permute(2, 0, 1).float()
    torch.testing.assert_close(bundle.test[0][0] * 255, expected, atol=1e-4, rtol=0)


def test_it_travels_to_other_processes_without_the_images(many: tuple[Path, NDArray[np.uint8]]) -> None:
    bundle = loaded(many[0])
    text = pickle.dumps(bundle)
    assert len(text) < 40_000 < 100 * 32 * 32 * 3
    again = pickle.loads(text)
    assert torch.equal(again.test[7][0], bundle.test[7][0])
    assert again.fingerprint == bundle.fingerprint


def test_the_number_of_workers_changes_nothing(many: tuple[Path, NDArray[np.uint8]]) -> None:
    bundle = loaded(many[0])

    def epoch(workers: int, seed: int = 4) -> tuple[Any, Any]:
        loader = make_loader(bundle.train, 16, shuffle=True, seed=seed, workers=workers)
        images, labels = zip(*loader, strict=True)
        return torch.cat(images), torch.cat(labels)

    one, two, other = epoch(0), epoch(2), epoch(0, seed=5)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_another_size_for_both(many: tuple[Path, NDArray[np.uint8]]) -> None:
    bundle = loaded(many[0], "[{RandomCrop: {height: 24, width: 24}}]", "[{CenterCrop: {height: 24, width: 24}}]")
    assert bundle.train[0][0].shape == bundle.test[0][0].shape == (3, 24, 24)


def test_another_size_for_one_is_an_error(many: tuple[Path, NDArray[np.uint8]]) -> None:
    message = "dataset cifar10: the training images are 3 x 24 x 24 and the test images 3 x 32 x 32; transform both"
    with pytest.raises(XaitoolError, match=message):
        loaded(many[0], "[{RandomCrop: {height: 24, width: 24}}]")


def test_random_test_images_come_out_the_same_each_time(many: tuple[Path, NDArray[np.uint8]]) -> None:
    flipped = loaded(many[0], "[]", "[HorizontalFlip]").test
    plain = made(many[0]).test
    turned = [torch.equal(flipped[row][0], plain[row][0].flip(2)) for row in range(len(plain))]
    assert 0 < sum(turned) < len(turned)
    again = flipped.__getitems__(list(reversed(range(len(plain)))))[::-1]
    assert all(torch.equal(image, flipped[row][0]) for row, (image, _) in enumerate(again))
    always = loaded(many[0], "[]", "[{HorizontalFlip: {p: 1.0}}]")
    assert torch.equal(always.test[0][0], made(many[0]).test[0][0].flip(2))


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("[{RandomCrop: {height: 40, width: 40}}]", "dataset cifar10: the transforms fail on an image of 32x32 pixels"),
        ("[{RandomScale: {scale_limit: [0.5, 1]}}]", "dataset cifar10: the transforms give images of different sizes"),
    ],
)
def test_transforms_that_cannot_be_applied(augment: str, message: str, many: tuple[Path, NDArray[np.uint8]]) -> None:
    with pytest.raises(XaitoolError, match=message):
        loaded(many[0], augment)


@pytest.mark.parametrize(
    ("option", "key", "message"),
    [
        ("root: ''", "dataset.root", "should not be empty"),
        ("limit: {train: 9}", "dataset.limit.train", "should be greater than or equal to 10, not 9"),
        ("limit: {train: 50001}", "dataset.limit.train", "should be less than or equal to 50000, not 50001"),
        ("limit: {test: 10001}", "dataset.limit.test", "should be less than or equal to 10000, not 10001"),
        ("limit: {tests: 10}", "dataset.limit.tests", "unknown key; did you mean 'test'?"),
        ("limit: 10", "dataset.limit", "should be a mapping of keys to values, not 10"),
        ("std: [0, 1, 1]", "dataset.std.0", "should be greater than 0, not 0"),
        ("mean: [0.5, 0.5]", "dataset.mean", "has too few items"),
        ("download: maybe", "dataset.download", "should be true or false, not 'maybe'"),
    ],
)
def test_wrong_options(option: str, key: str, message: str) -> None:
    head = "recipe: 1\nname: t\nmodel: resnet18\ntrain: {epochs: 1, scheduler: lr_finder_onecycle}\n"
    text = f"{head}dataset: {{use: cifar10, {option}}}\n"
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(text, "r.yaml")
    (problem,) = caught.value.problems
    assert (problem.key, problem.message) == (key, message)
    assert problem.where.startswith("r.yaml:5:")


def test_from_a_program(official: Official, tmp_path: Path) -> None:
    official.put(tmp_path / "data")
    bundle = xaitool.build("dataset", "cifar10", root=str(tmp_path / "data"), given={"seed": 1})
    assert_is(bundle, official)


# The real thing


@pytest.mark.cifar10
def test_the_real_cifar10(real_cifar10: Path) -> None:
    bundle = made(real_cifar10, download=False)
    assert bundle.sample is not None
    assert (len(bundle.train), len(bundle.test)) == (50_000, 10_000)
    assert np.bincount([label for _, label in Labels(bundle.sample)]).tolist() == [5000] * 10
    assert np.bincount([label for _, label in Labels(bundle.test)]).tolist() == [1000] * 10
    assert len({*bundle.train_ids, *bundle.test_ids}) == 60_000
    (folder,) = cache_root().iterdir()
    images = np.load(folder / "train_images.npy", mmap_mode="r")
    means = np.stack([images[start : start + 10_000].mean(axis=(0, 1, 2)) for start in range(0, 50_000, 10_000)])
    assert np.abs(means.mean(axis=0) / 255 - [0.49139968, 0.48215841, 0.44653091]).max() < 1e-6
    assert json.loads((folder / "test_ids.json").read_text()) == bundle.test_ids
    for index in (0, 12_345, 49_999):
        assert np.array_equal(shown(bundle, [bundle.sample[index]])[0], images[index])


class Labels:
    """The labels of an ImageArray without its images, which take a while to fetch."""

    def __init__(self, images: Any) -> None:
        self.labels = images.labels

    def __iter__(self) -> Iterator[tuple[None, int]]:
        return ((None, int(label)) for label in self.labels)
