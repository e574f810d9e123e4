"""The command line, as a user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xaitool.cli import main

SHORT = [
    "train.epochs=1",
    "dataset.train=160",
    "dataset.test=64",
    "train.scheduler={use: onecycle, max_lr: 0.05}",
    "explain.methods=[]",
]


def command(*arguments: str, changes: list[str] | tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "xaitool", *arguments, *(word for each in changes for word in ("--set", each))]


def call(folder: Path, *arguments: str, changes: list[str] | tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(*arguments, changes=changes), cwd=folder, env=environment, capture_output=True, text=True
    )


def test_a_run_tells_its_story_on_stderr_and_its_folder_on_stdout(tmp_path: Path) -> None:
    done = call(tmp_path, "run", "quickstart", "--out", "here", changes=SHORT)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "here/quickstart").iterdir()
    assert done.stdout == f"{folder}\n"
    for word in ("data: 160 training and 64 test images", "learning rate:", "epoch 1/1", "test accuracy:", "report:"):
        assert word in done.stderr
    assert "\x1b" not in done.stderr  # no colours and no bars where there is no terminal
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_quiet(tmp_path: Path) -> None:
    done = call(tmp_path, "run", "quickstart", "-q", changes=SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Path(done.stdout.strip()).is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "quickstrat"], "no recipe of this name; did you mean 'quickstart'?"),
        (["run", "nowhere.yaml"], "no such file"),
        (["run", "quickstart", "--set", "train.epochs=many"], "--set train.epochs=many: train.epochs:"),
        (["run", "quickstart", "--set", "seed"], "--set seed"),
        (["run", "quickstart", "--set", "runtime.device=mps"], "asks for mps"),
        (["run"], "Give a RECIPE to begin a run, or --resume RUN"),
        (["runn", "quickstart"], "No such command 'runn'"),
        (["recipe", "check", "quickstart", "--set", "model.use=resnet81"], "did you mean 'resnet18'?"),
    ],
)
def test_a_users_mistake_is_told_in_words(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = call(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"] or list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    done = call(tmp_path, "run", "quickstart", "--out", "runs/deeper", changes=SHORT)
    assert done.returncode == 2
    assert "cannot make a run folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c(tmp_path: Path) -> None:
    running = subprocess.Popen(
        command("run", "quickstart", changes=["dataset.train=400", "dataset.test=64", "train.epochs=500"]),
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and what is ignored is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stderr
    for line in running.stderr:
        if "epoch   2/500" in line:
            running.send_signal(signal.SIGINT)
            break
    rest = running.stderr.read()
    assert running.wait(60) == 130
    (folder,) = (tmp_path / "runs/quickstart").iterdir()
    told = json.loads((folder / "run.json").read_text())
    assert (told["state"], told["stage"]) == ("interrupted", "fit")
    assert told["stages"]["fit"]["epochs"] >= 2
    assert "interrupted in stage fit" in rest
    assert rest.splitlines()[-1] == f"to go on from there: xaitool run --resume {folder.relative_to(tmp_path)}"
    assert "Traceback" not in rest


def test_bars_show_speed_and_time_left_in_a_terminal(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    changes = ["train.epochs=1", "dataset.train=1600", "dataset.test=64", "train.scheduler.num_iter=40"]
    changes += ["explain.metrics=[]", "explain.methods=[gradcam, gradcam++]"]
    running = subprocess.Popen(
        command("run", "quickstart", changes=changes), cwd=tmp_path, env=environment, stderr=theirs, stdout=theirs
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux reports the other end's closing so
            break
        if not chunk:
            break
        seen += chunk
    assert running.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    for label in ("learning-rate search", "epoch 1/1", "testing", "gradcam and gradcam++"):
        assert label in text
    assert re.search(r"epoch 1/1 .*\d+% +[\d,]+ images/s .*left +\d:\d\d:\d\d", text)
    assert re.search(r"learning-rate search .*\d+% +[\d,]+ images/s", text)
    assert re.search(r"loss \d\.\d", text)


def test_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["run"], ["recipe"], ["recipe", "check"], ["recipe", "show"], ["recipe", "schema"]):
        main([*arguments, "--help"])
        text = capsys.readouterr().out
        assert text.startswith("Usage: xaitool")
        assert "\\b" not in text
        assert max(map(len, text.splitlines())) <= 80
