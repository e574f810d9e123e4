"""docs/explain.md: its commands run as they stand, and leave what it says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaitool import Run
from xaitool.cli import main

TEXT = (Path(__file__).parent.parent / "docs" / "explain.md").read_text()
NEEDS_THE_HUB = "xaitool explain --model timm/resnet50 --classes imagenet.txt --images photos --out by-resnet50"


def test_each_command_runs(small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run.folder, tmp_path / "runs" / "quickstart" / small_run.folder.name)
    for name in ("star", "circle"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.M | re.S) for line in block.splitlines()
    ]
    assert len(commands) == 6
    for command in commands:
        if command != NEEDS_THE_HUB:
            program, *arguments = shlex.split(command)
            assert program == "xaitool"
            main(arguments)

    (tree,) = re.findall(r"^```text\nexplained/\n(.*?)^```", TEXT, flags=re.M | re.S)
    said = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.startswith("  ") and line[2] != " "}
    there = {path.name for path in (tmp_path / "explained").iterdir()}
    assert said - {"00001"} == there
    both = {path.name for path in (tmp_path / "two-methods" / "00000").iterdir()}
    assert {"00001-0.gradcam.png", "00001-0.early.npy", "predictions.csv"} <= both
    assert len(list((tmp_path / "second" / "00000").glob("*.npy"))) == 3 * 2


def test_what_it_says_of_options_is_what_the_command_has() -> None:
    from xaitool.cli.explain import explain

    there = {option for parameter in explain.params for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert len(named) > 9
    assert named - there == set()
