"""``xaitool explain`` and the file system: odd names, pipes, lists taken away, two commands at once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xaitool.engine.progress import Silent
from xaitool.engine.runtime import open_runtime
from xaitool.errors import FolderError
from xaitool.files import held
from xaitool.recipe.schema import RuntimeSettings
from xaitool.stream import explain as streaming
from xaitool.stream.explain import Outcome, explain_files
from xaitool.stream.source import Source, from_model

TINY = {"use": "timm", "name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}


@pytest.fixture(scope="module")
def source() -> Source:
    return from_model(TINY, ("ant", "bee"), [], random_weights=True, size=(16, 16))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.full((16, 16, 3), 80 * number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def explain(source: Source, images: Path, out: Path, **options: Any) -> Outcome:
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        return explain_files(source, [images], out, runtime=runtime, display=Silent(), **options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["a#b", "50%41", "what?mode=rwc", "two words"])
def test_a_folder_is_called_what_it_likes(source: Source, images: Path, tmp_path: Path, name: str) -> None:
    assert explain(source, images, tmp_path / name).explained == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["in", name])


def test_a_list_that_was_taken_away_is_told(source: Source, images: Path, tmp_path: Path, monkeypatch) -> None:
    real = streaming.explain_shard

    def killed(*arguments: Any, **named: Any) -> Any:
        if arguments[1][0].number == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(streaming, "explain_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        explain(source, images, tmp_path / "out", shard=2)
    monkeypatch.undo()
    (tmp_path / "out" / "files.sqlite").unlink()
    with pytest.raises(FolderError, match=r"files\.sqlite, cannot be written or read .*name a new folder"):
        explain(source, images, tmp_path / "out", shard=2)


@pytest.mark.timeout(60)
def test_a_pipe_is_skipped_and_not_waited_for(source: Source, images: Path, tmp_path: Path) -> None:
    os.mkfifo(images / "pipe.png")
    (images / "device.png").symlink_to("/dev/zero")
    outcome = explain(source, images, tmp_path / "out")
    assert (outcome.explained, outcome.skipped) == (3, 2)
    assert {row["file"] for row in rows(tmp_path / "out" / "skipped.csv")} == {"pipe.png", "device.png"}
    assert all("a pipe, a socket or a device" in row["reason"] for row in rows(tmp_path / "out" / "skipped.csv"))


def test_two_commands_do_not_write_into_one_folder(source: Source, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    program = (
        "import sys; from pathlib import Path; from xaitool.files import held\n"
        "with held(Path(sys.argv[1]), 'explain.lock'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, out], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match="another process is at work"):
            explain(source, images, out)
        assert [each.name for each in out.iterdir()] == ["explain.lock"]
        other.communicate()
    assert explain(source, images, out).explained == 3
    with held(out, "explain.lock"):  # what is done can be asked for meanwhile
        assert explain(source, images, out).explained == 3


def test_names_that_break_lines_and_long_ones(source: Source, images: Path, tmp_path: Path) -> None:
    """As macOS leaves them behind (``Icon\\r``), and as long as file systems take them in Chinese."""
    content = (images / "0.png").read_bytes()
    names = ["Icon\r", "two\nlines.png", "a\x85b\u2028c.png", "猫" * 83 + "a.png", "猫" * 83 + "b.png"]
    for name in names:
        (images / name).write_bytes(content)
    (images / "broken\r.png").write_bytes(b"")
    outcome = explain(source, images, tmp_path / "out", shard=4)
    assert (outcome.explained, outcome.skipped) == (8, 1)
    told = {row["file"] for row in rows(tmp_path / "out" / "predictions.csv")}
    assert told == {"0.png", "1.png", "2.png", "Icon\\r", "two\\nlines.png", r"a\x85b\u2028c.png", *names[3:]}
    assert [row["file"] for row in rows(tmp_path / "out" / "skipped.csv")] == ["broken\\r.png"]
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 8
    assert "Icon\\r" in outcome.page.read_text()
