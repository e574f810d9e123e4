"""``xaitool explain``: any number of files, in shards that are whole, in constant memory, going on where it stopped."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import xaitool
from xaitool.engine.progress import Silent
from xaitool.engine.runtime import open_runtime
from xaitool.errors import ComponentError, ExplainError, FolderError, XaitoolError
from xaitool.recipe.schema import RuntimeSettings
from xaitool.stream import explain as streaming
from xaitool.stream import listing as listings
from xaitool.stream import page as page_module
from xaitool.stream.explain import Outcome, explain_files
from xaitool.stream.listing import Listing
from xaitool.stream.source import Source, from_model, from_run, read_classes

CLASSES = ("ant", "bee", "cat")
TINY = {"use": "timm", "name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}


@pytest.fixture(scope="module")
def source() -> Source:
    return from_model(TINY, CLASSES, [], random_weights=True, size=(16, 16))


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    draw = np.random.default_rng(seed)
    for number in range(count):
        place = folder / CLASSES[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(place / f"{number:03d}.png")


def explain(source: Source, images: Path | list[Path], out: Path, **options: Any) -> Outcome:
    sources = images if isinstance(images, list) else [images]
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        return explain_files(source, sources, out, runtime=runtime, display=Silent(), **options)


def rows(out: Path, name: str = "predictions.csv") -> list[dict[str, str]]:
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(out: Path) -> dict[str, bytes]:
    kinds = (".npy", ".png", ".csv")
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.suffix in kinds}


def test_what_it_says_of_an_image_is_what_xaitool_explain_says(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 6)
    explain(source, tmp_path / "in", tmp_path / "out", target="cat")
    paths = sorted((tmp_path / "in").rglob("*.png"))
    expected = xaitool.explain(
        xaitool.ModelBundle(source.subject.module, (3, 16, 16), source.subject.cam_layers),
        paths,
        "cat",
        classes=CLASSES,
        mean=source.preprocess.mean,
        std=source.preprocess.std,
    )
    for row, path, map, of in zip(rows(tmp_path / "out"), paths, expected.maps, expected.rows, strict=True):
        assert row["file"] == str(path.relative_to(tmp_path / "in"))
        assert (row["predicted"], row["target"]) == (of.predicted, "cat")
        assert float(row["target_probability"]) == pytest.approx(of.target_probability, abs=1e-5)
        stem = tmp_path / "out" / "00000" / f"{of.stem}.gradcam"
        np.testing.assert_allclose(np.load(f"{stem}.npy"), map, atol=1e-4)
        with Image.open(f"{stem}.png") as overlay:
            assert np.abs(np.asarray(overlay, int) - np.asarray(expected.overlay(of.number), int)).max() <= 1


def test_a_run_explains_its_own_test_images_as_it_did_itself(small_run: xaitool.Run, tmp_path: Path) -> None:
    """The same maps, with the layer that the run chose for itself, from the weights in its folder."""
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(small_run.judged_pixels):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:03d}.png")
    source = from_run(small_run, [])
    assert list(source.methods) == ["gradcam", "gradcam++"]
    explain(source, tmp_path / "in", tmp_path / "out")
    for number, (row, then) in enumerate(zip(rows(tmp_path / "out"), small_run.judged_images, strict=True)):
        assert row["predicted"] == then["predicted"]
        assert float(row["confidence"]) == pytest.approx(float(then["confidence"]), abs=1e-4)
        for method in source.methods:
            found = np.load(tmp_path / "out" / "00000" / f"{number:05d}-{number:03d}.{method}.npy")
            np.testing.assert_allclose(found, small_run.judged_maps(method)[number], atol=1e-4)
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(words["words"][1:] in page.replace("&#39;", "'") for words in small_run.verdicts.values())
    assert from_run(small_run, ["gradcam"]).identity["methods"].keys() == {"gradcam"}
    used = small_run.verdicts["gradcam++"]["layers"]["used"]
    assert source.identity["methods"]["gradcam++"]["layers in use"] == used
    with pytest.raises(ComponentError, match="did you mean 'gradcam'"):
        from_run(small_run, ["gradcan"])


def test_a_run_of_before_sizes_were_written_down(small_run: xaitool.Run, tmp_path: Path) -> None:
    old = shutil.copytree(small_run.folder, tmp_path / "old")
    journal = json.loads((old / "run.json").read_text())
    assert journal["stages"]["data"].pop("size") == [3, 32, 32]
    (old / "run.json").write_text(json.dumps(journal))
    assert from_run(xaitool.Run(old), []).preprocess.size == (32, 32)
    (old / "explanations" / "images.npy").unlink()
    with pytest.raises(FolderError, match="how large its images are"):
        from_run(xaitool.Run(old), [])


def test_weights_that_do_not_fit_are_told(small_run: xaitool.Run, tmp_path: Path) -> None:
    old = shutil.copytree(small_run.folder, tmp_path / "old")
    (old / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(FolderError, match="does not fit the model"):
        from_run(xaitool.Run(old), [])


def test_it_goes_on_where_it_was_stopped(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "in", 50)
    (tmp_path / "in" / "broken.png").write_bytes(b"")
    explain(source, tmp_path / "in", tmp_path / "whole", shard=8)

    real, calls = streaming.explain_shard, []

    def killed_in_the_fourth(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            named["done"] = lambda _images: (_ for _ in ()).throw(KeyboardInterrupt)
        return real(*arguments, **named)

    monkeypatch.setattr(streaming, "explain_shard", killed_in_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        explain(source, tmp_path / "in", tmp_path / "out", shard=8)
    monkeypatch.undo()
    out = tmp_path / "out"
    assert json.loads((out / "explain.json").read_text())["shards"] == 3
    assert len(rows(out)) == 24
    assert not (out / "00003").exists()
    # Killed once more, between a shard's folder and the manifest: what was added beyond it is cut off.
    shutil.copytree(tmp_path / "whole" / "00003", out / "00003")
    with (out / "predictions.csv").open("a") as file:
        file.write("24,half a li")

    outcome = explain(source, tmp_path / "in", out, shard=8)
    assert (outcome.before, outcome.explained, outcome.skipped, outcome.files) == (3, 50, 1, 51)
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [f"{number:05d}" for number in range(7)]
    assert json.loads((out / "explain.json").read_text())["state"] == "finished"

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert explain(source, tmp_path / "in", out, shard=8).before == 7  # all is done: nothing is touched
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_another_command_is_refused_with_what_differs(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    explain(source, tmp_path / "in", tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(FolderError, match=r"target: predicted there, cat here"):
        explain(source, tmp_path / "in", tmp_path / "out", target="cat")
    other = from_model(TINY, CLASSES, [{"use": "gradcam", "layers": ["layer1"]}], random_weights=True, size=(16, 16))
    with pytest.raises(FolderError, match=r'methods\.gradcam\.layers: null there, \["layer1"\] here'):
        explain(other, tmp_path / "in", tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_folder_of_other_things_is_left_alone(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    for out in (tmp_path / "in", tmp_path / "in" / "ant" / "000.png"):
        with pytest.raises(FolderError, match="holds no explanations"):
            explain(source, tmp_path / "in", out)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "explain.json").write_text("{")
    with pytest.raises(FolderError, match="is damaged"):
        explain(source, tmp_path / "in", tmp_path / "damaged")
    assert len(list((tmp_path / "in").rglob("*"))) == 6


def test_broken_files_are_skipped_counted_and_listed(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    whole = (tmp_path / "in" / "ant" / "000.png").read_bytes()
    picture = Image.open(tmp_path / "in" / "ant" / "000.png")
    broken = {
        "empty.png": b"",
        "text.jpg": b"no image",
        "half.png": whole[: len(whole) // 2],
        "page.html": b"<script>alert(1)</script>",
        "archive.png": b"PK\x03\x04" + bytes(50),
        "head.gif": b"GIF89a",
        "noise.bmp": bytes(range(256)),
        "turned.png": whole[:50] + bytes(20) + whole[70:],
    }
    for format in ("jpeg", "tiff", "webp"):
        picture.save(tmp_path / f"whole.{format}")
        content = (tmp_path / f"whole.{format}").read_bytes()
        broken[f"half.{format}"] = content[: len(content) // 3]
    for name, content in broken.items():
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / ".hidden").write_bytes(b"not listed")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    outcome = explain(source, tmp_path / "in", tmp_path / "out", shard=4)
    assert (outcome.explained, outcome.skipped) == (3, 12)
    skipped = rows(tmp_path / "out", "skipped.csv")
    assert {row["file"] for row in skipped} == {*broken, "gone.png"}
    assert all(row["reason"] for row in skipped)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "12 files could not be read" in page


def test_nothing_but_broken_files_is_no_failure(source: Source, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    outcome = explain(source, tmp_path / "in", tmp_path / "out")
    assert (outcome.explained, outcome.skipped) == (0, 1)
    assert rows(tmp_path / "out") == []
    assert outcome.page.is_file()


def test_memory_does_not_grow_with_the_number_of_files(source: Source, tmp_path: Path) -> None:
    peaks = []
    for count in (20, 70):
        write_images(tmp_path / str(count), count)
        explain(source, tmp_path / str(count), tmp_path / f"warm {count}", shard=10) if not peaks else None
        tracemalloc.start()
        explain(source, tmp_path / str(count), tmp_path / f"out {count}", shard=10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The page shows 48 images at most, about 10 kB each; and 50 images of 224 pixels would be 30 MB.
    assert peaks[1] < peaks[0] + 1_000_000


def test_a_million_names_are_listed_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of a million here; each name would take some 100 bytes in memory."""
    count = 20_000
    scrambled = ((number * 7919) % count for number in range(count))
    monkeypatch.setattr(listings, "_files", lambda *_: (f"/images/{each:07d}.png" for each in scrambled))
    tracemalloc.start()
    made = Listing.make(tmp_path / "files.sqlite", [Path("/images")], tmp_path)
    first, last = made.part(0, 2), made.part(count - 1, count + 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == count
    assert [each.path.name for each in first] == ["0000000.png", "0000001.png"]
    assert [(each.number, each.path.name) for each in last] == [(count - 1, f"{count - 1:07d}.png")]
    assert peak < 300_000


def test_files_that_are_named_twice_are_explained_once(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    one = tmp_path / "in" / "bee" / "001.png"
    outcome = explain(source, [one, tmp_path / "in", one], tmp_path / "in" / "out")
    assert outcome.files == 3
    assert outcome.explained == 3
    assert rows(outcome.folder)[1]["file"] == str(one)


def test_names_that_are_no_text_and_names_that_are_html(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "one", 1)
    (tmp_path / "in").mkdir()
    content = (tmp_path / "one" / "ant" / "000.png").read_bytes()
    for name in (b"a\xff.png", b"<img src=x>&.png", "snö, vår.png".encode(), b"=1+1.png"):
        with open(bytes(tmp_path / "in") + b"/" + name, "wb") as file:  # noqa: PTH123 - a path that is no text
            file.write(content)
    outcome = explain(source, tmp_path / "in", tmp_path / "out")
    assert outcome.explained == 4
    assert {row["file"] for row in rows(tmp_path / "out")} == {
        r"a\xff.png",
        "<img src=x>&.png",
        "snö, vår.png",
        "=1+1.png",
    }
    page = outcome.page.read_text()
    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;&amp;.png" in page
    assert "Content-Security-Policy" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert re.findall(r"<[^>]*\b(?:src|href)=\"(?!data:|#)", page) == []
    assert "<script" not in page  # it has no gallery, and nothing to copy


def test_true_targets_are_folders_names(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 6)
    explain(source, tmp_path / "in", tmp_path / "out", target="true")
    assert [row["target"] for row in rows(tmp_path / "out")] == ["ant", "ant", "bee", "bee", "cat", "cat"]
    explain(source, tmp_path / "in", tmp_path / "second", target="runner_up")
    assert all(row["target"] == row["runner_up"] for row in rows(tmp_path / "second"))
    (tmp_path / "in" / "cut").mkdir()
    shutil.copy(tmp_path / "in" / "ant" / "000.png", tmp_path / "in" / "cut")
    with pytest.raises(ExplainError, match=r"000\.png lies in 'cut', which is none; did you mean 'cat'"):
        explain(source, tmp_path / "in", tmp_path / "new", target="true")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("images", "target", "said"),
    [
        ("nowhere", "predicted", "is not there"),
        ("empty", "predicted", "there are no files in"),
        ("in", "cut", "did you mean 'cat'"),
        ("in", "zebra", "there are predicted, true, runner_up, ant"),
    ],
)
def test_mistakes_leave_nothing_behind(source: Source, tmp_path: Path, images: str, target: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "in", 3)
    with pytest.raises(XaitoolError, match=said):
        explain(source, tmp_path / images, tmp_path / "out", target=target)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(source: Source, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot write"):
        explain(source, tmp_path / "in", tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("resnet81", "did you mean 'resnet18'"),
        ("timn/resnet50", "no model 'timn/resnet50'"),
        ("timm/resnet5", "timm has no model 'resnet5'; did you mean 'resnet50'"),
        ({"name": "resnet18"}, "should have 'use'"),
        ({"use": "resnet18", "stems": "cifar"}, "did you mean 'stem'"),
    ],
)
def test_models_that_are_none(model: Any, said: str) -> None:
    with pytest.raises(XaitoolError, match=said):
        from_model(model, CLASSES, [], random_weights=True, size=(32, 32))


def test_pretrained_weights_of_other_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last layer would be drawn at random, and explained as if it were the model."""
    import timm

    made = timm.create_model("resnet18")
    made.reset_classifier(3)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: made)
    with pytest.raises(XaitoolError, match="tell 1,000 classes apart, and --classes names 3"):
        from_model("timm/resnet18", CLASSES, [], size=(32, 32))


def test_torchvisions_pretrained_weights_of_other_classes_are_refused_unfetched() -> None:
    with pytest.raises(XaitoolError, match="tell 1,000 classes apart, and --classes names 3"):
        from_model("torchvision/resnet50", CLASSES, [], size=(32, 32))


def test_a_checkpoint(source: Source, tmp_path: Path) -> None:
    """Other weights than those drawn at random, from a file of a training."""
    torch.manual_seed(5)
    state = {
        f"module.{key}": torch.rand_like(value.float()) for key, value in source.subject.module.state_dict().items()
    }
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "weights.pt")
    filled = from_model(TINY, CLASSES, [], checkpoint=tmp_path / "weights.pt", size=(16, 16))
    for key, value in filled.subject.module.state_dict().items():
        torch.testing.assert_close(value.float(), state[f"module.{key}"].to(value.dtype).float())
    assert "learnt nothing" in source.warnings[0]
    assert "learnt nothing" not in "".join(filled.warnings)
    write_images(tmp_path / "in", 2)
    explain(source, tmp_path / "in", tmp_path / "out")
    with pytest.raises(FolderError, match="checkpoint: null there"):
        explain(filled, tmp_path / "in", tmp_path / "out")


def test_torchvisions_resnet50_by_name(tmp_path: Path) -> None:
    source = from_model("torchvision/resnet50", CLASSES, ["gradcam"], random_weights=True, size=(96, 64))
    write_images(tmp_path / "in", 2)
    explain(source, tmp_path / "in", tmp_path / "out")
    assert [np.load(path).shape for path in sorted((tmp_path / "out").rglob("*.npy"))] == [(96, 64)] * 2
    assert "learnt nothing" in (tmp_path / "out" / "report.html").read_text()


def test_a_large_network_by_name(tmp_path: Path) -> None:
    source = from_model("timm/vit_tiny_patch16_224", CLASSES, ["gradcam"], random_weights=True)
    assert source.preprocess.mean == (0.5, 0.5, 0.5)  # the model's own
    write_images(tmp_path / "in", 2)
    outcome = explain(source, tmp_path / "in", tmp_path / "out")
    maps = [np.load(path) for path in sorted((tmp_path / "out").rglob("*.npy"))]
    assert outcome.explained == 2
    assert [each.shape for each in maps] == [(224, 224)] * 2
    assert all(each.std() > 0.05 for each in maps)


def test_classes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("ant\n\n sea lion \nbee\n", "utf-8")
    assert read_classes(path) == ("ant", "sea lion", "bee")
    for content, said in (("ant\nant\n", "more than once: ant"), ("ant\n", "two at least")):
        path.write_text(content)
        with pytest.raises(ExplainError, match=said):
            read_classes(path)
    with pytest.raises(FolderError, match="cannot read"):
        read_classes(tmp_path / "nowhere.txt")


def test_pictures_are_prepared_as_the_test_images_of_a_folder_were(tmp_path: Path) -> None:
    """A data set's own size, fit and transforms, and its mean and std."""
    from xaitool.building import component
    from xaitool.data.preprocess import Preprocess
    from xaitool.stream.source import _steps

    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(2):
                pixels = draw.integers(0, 256, (40, 56, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    options = {"root": str(tmp_path), "size": [24, 32], "fit": "pad"}
    flipped = [{"HorizontalFlip": {"p": 1.0}}]
    folder = component("dataset", "image_folder", {**options, "test_transform": flipped})
    data = folder.build("data", seed=1)
    prepare = Preprocess(data.mean, data.std, (24, 32), _steps(folder.config))
    for index, name in enumerate(data.test_ids):
        (path,) = tmp_path.glob(f"**/{name}")
        found = prepare(np.asarray(Image.open(path)))
        torch.testing.assert_close(found, data.test[index][0])


def test_a_page_shows_as_many_images_as_go_by_mail(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "in", 6)
    monkeypatch.setattr(page_module, "_BYTES", 1)
    explain(source, tmp_path / "in", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("as the model saw it") == 1
    assert "1 of 6, drawn at random" in page
