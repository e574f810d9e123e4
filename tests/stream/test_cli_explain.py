"""The command: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import logging
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xaitool
from xaitool.cli import main
from xaitool.stream import explain as streaming
from xaitool.stream import shards

TINY = "{use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}"


def called(*arguments: object) -> int:
    try:
        main(["explain", *map(str, arguments)])
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one broken one, and the names of their classes."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        pixels = np.full((20, 20, 3), 80 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"")
    (tmp_path / "classes.txt").write_text("circle\nsquare\n")
    return tmp_path


@pytest.fixture
def of_model(folder: Path) -> list[object]:
    out = ("--images", folder / "in", "--out", folder / "out", "--size", "16")
    return ["--model", TINY, "--classes", folder / "classes.txt", "--random-weights", *out]


def test_a_run(small_run: xaitool.Run, folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, as else Python prints warnings a second time
    given = ("--images", folder / "in", "--out", folder / "out")
    assert called(small_run.folder.parent, *given, "--method", "gradcam") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{folder / 'out'}\n"
    assert f"the newest finished run is {small_run.folder}" in printed.err
    assert re.search(r"layer: gradcam looks at \w+ \(\d+x\d+\)", printed.err)
    assert printed.err.count("1 file could not be read") == 1
    assert "explained: 3 of 4 files" in printed.err
    assert called(small_run.folder, *given, "--method", "gradcam", "--target", "star") == 2
    assert "target: predicted there, star here" in capsys.readouterr().err


def test_a_model_for_scripts(of_model: list[object], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(*of_model, "--json", "--method", "{use: gradcam, layers: [layer2], as: early}") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told == {
        "folder": str(folder / "out"),
        "files": 4,
        "explained": 3,
        "skipped": 1,
        "empty_maps": {},
        "went_on": False,
        "report": str(folder / "out" / "report.html"),
        "error": None,
        "exit_status": 0,
    }
    assert printed.err == ""
    assert len(list((folder / "out" / "00000").glob("*.early.npy"))) == 3
    assert called(*of_model, "--json", "--target", "sqare") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["exit_status"] == 2
    assert "did you mean 'square'" in told["error"]


def test_empty_maps_are_counted_and_marked(of_model: list[object], folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    ramp = torch.linspace(0, 1, 256).view(16, 16)
    maps = torch.stack([0 * ramp, ramp, 0 * ramp - 1])
    monkeypatch.setattr(shards, "maps_by_method", lambda *_, **__: {"soft": maps, "hard": maps.abs()})
    smooth = "smooth: {noise: 0.1, n: 4}"
    soft, hard = f"{{use: gradcam, as: soft, {smooth}}}", "{use: gradcam, as: hard}"
    assert called(*of_model, "--method", soft, "--method", hard) == 0
    told = capsys.readouterr().err
    assert "soft: 2 of 3 maps are empty" in told
    assert "hard: 2 of 3 maps are empty" in told
    page = (folder / "out" / "report.html").read_text()
    assert "2 by soft, 2 by hard" in page
    assert re.search(r"Method soft<.*?xaitool/gradcam; smooth: {flips: false, noise: 0\.1, n: 4}<", page, re.DOTALL)
    assert page.count("<figcaption>soft: empty map<") == page.count("<figcaption>hard: empty map<") == 2
    assert page.count("<figcaption>soft<") == 1


@pytest.mark.parametrize(("stopped_by", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("as_json", [False, True])
def test_stopped_it_says_how_far_it_got(
    of_model: list[object], folder: Path, as_json: bool, stopped_by: int, status: int, monkeypatch, capsys
) -> None:
    real = streaming.explain_shard
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may have switched it off

    def stopped_in_the_second(*arguments, **named):
        if arguments[3].name == "00001":
            signal.raise_signal(stopped_by)
        return real(*arguments, **named)

    monkeypatch.setattr(
        streaming.explain_files, "__kwdefaults__", {**streaming.explain_files.__kwdefaults__, "shard": 3}
    )
    monkeypatch.setattr(streaming, "explain_shard", stopped_in_the_second)
    try:
        assert called(*of_model, *["--json"] * as_json) == status
    finally:
        signal.signal(signal.SIGINT, before)
    told = capsys.readouterr()
    said = "stopped after 3 of 4 files; the same command goes on from there"
    assert told.err.endswith(f"{said}\n")
    assert not as_json or json.loads(told.out)["error"] == said
    monkeypatch.setattr(streaming, "explain_shard", real)
    assert called(*of_model) == 0
    assert "going on after 3 of 4 files" in capsys.readouterr().err


def test_quiet(of_model: list[object], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(*of_model, "--quiet") == 0
    assert tuple(capsys.readouterr()) == (f"{folder / 'out'}\n", "")


def test_a_grey_model(folder: Path) -> None:
    """A mean of one number makes the pictures grey."""
    out = ("--images", folder / "in", "--out", folder / "out", "--size", "12x16", "--mean", "0.5", "--std", "0.5")
    assert called("--model", TINY, "--classes", folder / "classes.txt", "--random-weights", *out) == 0
    (saved, *_) = sorted((folder / "out" / "00000").glob("*.npy"))
    assert np.load(saved).shape == (12, 16)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name either a RUN or a --model"),
        (["runs", "--model", "resnet18"], "not both"),
        (["runs", "--mean", "0.5", "--std", "0.5"], "--mean and --std: for a --model"),
        (["--model", "resnet18"], "--model takes --classes"),
        (["--model", "resnet18", "--classes", "c.txt", "--mean", "0.5"], "--mean and --std belong together"),
        (["--model", "resnet18", "--classes", "c.txt", "--mean", "0.5", "--std", "0"], "--std should be above 0"),
        (["--model", "resnet18", "--classes", "c.txt", "--mean", "a,b,c"], "not a number a channel"),
        (["--model", "resnet18", "--classes", "c.txt", "--mean", "1,2"], "has 2 numbers"),
        (["--model", "resnet18", "--classes", "c.txt", "--mean", "nan,0,0"], "nan in 'nan,0,0' is no number"),
        (["--model", "{use: python, target: 'net:net'}", "--classes", "classes.txt"], "run with --allow-code"),
        (["--model", "resnet18", "--classes", "c.txt", "--size", "0"], "neither a number of pixels"),
        (["--model", "resnet18", "--classes", "c.txt", "--checkpoint", "a", "--random-weights"], "give one of them"),
        (["--model", "resnet18", "--classes", "c.txt"], "cannot read c.txt"),
        (["--model", "{use: resnet18", "--classes", "c.txt"], "--model {use: resnet18"),
        (["nowhere"], "nowhere is not there"),
    ],
)
def test_mistakes(arguments: list[str], said: str, folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    assert called(*arguments, "--images", "in", "--out", "out") == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert "Traceback" not in error
    assert not (folder / "out").exists()


def test_the_callers_random_state_is_kept(of_model: list[object]) -> None:
    before = torch.get_rng_state()
    assert called(*of_model, "--quiet") == 0
    assert torch.equal(torch.get_rng_state(), before)
