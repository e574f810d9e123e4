"""Going on with a run that was interrupted: what is kept, what is refused, and what is said."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from run_folders import assert_same, contents, only_folder

import xaitool
from xaitool import Recipe, Run, resume, run
from xaitool.cli import main
from xaitool.engine import folder as folder_module
from xaitool.engine.finished import Finished
from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import Silent
from xaitool.engine.resume import reopen
from xaitool.engine.stages import Stages
from xaitool.engine.trainer import Trainer
from xaitool.errors import DeviceError, FolderError, PluginError
from xaitool.results import FORMAT

# Nothing but a training.
BARE = """
recipe: 1
name: bare
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 96, test: 40, classes: [circle, cross], augment: [HorizontalFlip]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train:
  epochs: 3
  batch_size: 32
  scheduler: {use: onecycle, max_lr: 0.05}
explain: {select: {misclassified: 1}, metrics: [], judge: {images: 0}}
report: {html: false}
"""


class Heard(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)

    def line(self, text: str) -> None:
        self.said.append(text)


def journal(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def stopping_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    real = Trainer.step

    def stopping(self: Trainer, *arguments: Any) -> Any:
        if len(self.fitted.lrs) == step:
            raise error
        return real(self, *arguments)

    monkeypatch.setattr(Trainer, "step", stopping)


@pytest.fixture(autouse=True)
def sketched() -> None:
    """Nothing is sketched here: figures, too, are compared with those of the run that was never stopped."""


@pytest.fixture(scope="module")
def bare() -> Recipe:
    return Recipe.parse(BARE)


@pytest.fixture(scope="module")
def whole(bare: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    return run(bare, out=tmp_path_factory.mktemp("whole")).folder


@pytest.fixture(scope="module")
def stopped(bare: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its last epoch."""
    out = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as monkeypatch:
        stopping_at(monkeypatch, 7, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt) as caught:
            run(bare, out=out)
    folder = only_folder(out)
    assert caught.value.__notes__ == [f"to go on from there: xaitool run --resume {folder}"]
    return folder


@pytest.fixture
def interrupted(stopped: Path, tmp_path: Path) -> Path:
    """The same for one test to go on with."""
    return Path(shutil.copytree(stopped, tmp_path / "runs/bare/interrupted"))


def test_a_run_without_methods_goes_on_where_it_was(interrupted: Path, whole: Path) -> None:
    steps: list[int] = []
    heard = Heard()
    with pytest.MonkeyPatch.context() as monkeypatch:
        real = Trainer.step
        monkeypatch.setattr(Trainer, "step", lambda self, *a: (steps.append(len(self.fitted.lrs)), real(self, *a))[1])
        done = resume(interrupted, display=heard)
    assert steps == [6, 7, 8]  # of nine, three an epoch
    assert "done before: tune" in heard.said
    assert "going on after step 6 of 9" in heard.said
    assert_same(done.folder, whole, "*curves*")
    before = [each["train_loss"] for each in Run(whole).history]
    assert [each["train_loss"] for each in done.history] == before
    told = journal(interrupted)
    assert (told["state"], told["error"], len(told["resumed"])) == ("finished", None, 1)
    assert list(told["stages"]) == list(journal(whole)["stages"])
    assert done.model is not None
    weights = done.model.module.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in done.weights().items())
    # And now that it is finished, though it was killed before it had put away its checkpoints:
    (interrupted / "checkpoints").mkdir()
    (interrupted / "run.lock").touch()
    again = resume(done, display=heard)
    assert_same(done.folder, whole, "*curves*")
    assert again.folder == done.folder
    assert f"{done.folder} is finished; there is nothing left to do" in heard.said
    assert len(journal(interrupted)["resumed"]) == 1
    with pytest.raises(FolderError, match="is finished; to change something, begin a new run"):
        resume(done, set={"train.epochs": 9}, force=True)


@pytest.mark.parametrize(("number", "words"), [(errno.EACCES, "Permission denied"), (errno.ENOSPC, "No space left on")])
def test_a_folder_that_cannot_be_written_is_an_error(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    import filelock

    with monkeypatch.context() as refused:
        refused.setattr(filelock.FileLock, "acquire", refuse)
        with pytest.raises(FolderError, match=rf"cannot write in {interrupted}: {words}"):
            resume(interrupted)
    monkeypatch.setattr(folder_module, "_LogFile", refuse)
    with pytest.raises(FolderError, match=rf"cannot write .*run\.log: {words}"):
        resume(interrupted)


def test_a_compiled_training_goes_on_where_it_was(
    bare: Recipe, whole: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the compiler, which takes half a minute: `make test-kill` has it.
    compile, asked = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda module: (asked.append(module), compile(module, backend="eager"))[1])
    compiled = bare.with_set({"train.compile": True})
    with monkeypatch.context() as stopping:
        stopping_at(stopping, 7, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(compiled, out=out)
    done = resume(only_folder(out))
    assert len(asked) == 2
    assert_same(done.folder, whole, "*curves*", "recipe.*")


def test_a_second_process_is_refused(interrupted: Path) -> None:
    before = contents(interrupted)
    with (
        RunFolder(interrupted).held(),
        pytest.raises(FolderError, match=f"another process is at work in {interrupted}"),
    ):
        resume(interrupted)
    assert contents(interrupted) == before


def test_another_recipe_is_refused_and_says_what_is_another(interrupted: Path) -> None:
    before = contents(interrupted)
    with pytest.raises(FolderError) as caught:
        resume(interrupted, set={"train.epochs": 4, "explain.methods": ["gradcam"], "model.widths": [8, 8, 8, 16]})
    said = str(caught.value).splitlines()
    assert said[0] == f"{interrupted} would go on otherwise than it was begun:"
    assert "  train.epochs: was 3, now 4" in said
    assert "  model.widths.3: was 8, now 16" in said
    assert '  explain.methods.0.use: was not there, now "xaitool/gradcam"' in said
    assert said[-1].startswith("with --force it does")
    assert contents(interrupted) == before


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({"seed": 4, "train.epochs": 1}, [0, 1, 2]),  # begins again
        ({"explain.select.misclassified": 3, "train.checkpoint_minutes": None}, [6, 7, 8]),  # goes on
    ],
)
def test_with_force_what_the_change_has_no_part_in_is_kept(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], steps: list[int]
) -> None:
    taken: list[int] = []
    real, heard = Trainer.step, Heard()
    monkeypatch.setattr(Trainer, "step", lambda self, *a: (taken.append(len(self.fitted.lrs)), real(self, *a))[1])
    done = resume(interrupted, set=change, force=True, display=heard)
    assert taken == steps
    assert len(done.history) == done.settings["train"]["epochs"] == (3 if steps[0] else 1)
    assert [said for said in heard.said if said.startswith(f"{next(iter(change))}: was ")]
    assert Recipe.load(done.folder / "recipe.lock.yaml").resolved() == done.settings


def test_where_the_run_cannot_go_on_nothing_is_taken_away(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = contents(interrupted)
    with pytest.raises(DeviceError, match="asks for cuda"):
        resume(interrupted, set={"seed": 4, "runtime.device": "cuda"}, force=True)
    assert contents(interrupted) == before


def test_other_versions_are_refused(interrupted: Path) -> None:
    lock = interrupted / "recipe.lock.yaml"
    data = yaml.safe_load(lock.read_text())
    data["locked"]["packages"]["torch"] = "0.4.1"
    data["locked"]["distributions"]["xaitool"] = "0.0.1"
    lock.write_text(yaml.safe_dump(data))
    warnings: list[str] = []
    with pytest.raises(FolderError, match=r"(?s)locked with torch 0\.4\.1, .*locked with xaitool 0\.0\.1, runn"):
        resume(interrupted)
    reopened = reopen(RunFolder(interrupted), {}, force=True, warn=warnings.append)
    assert reopened is not None
    assert reopened.finished.stages == ["data", "model", "tune"]
    assert len(warnings) == 2


JOURNAL = {"format": FORMAT, "state": "failed", "started": "", "resumed": [], "done": [], "stages": {}}


@pytest.mark.parametrize("name", ["run.log", "checkpoints", "tensorboard", "gone"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    if name != "gone":
        elsewhere.mkdir()
    (run / "run.json").write_text(json.dumps(JOURNAL))
    (run / name).symlink_to(elsewhere)
    with pytest.raises(FolderError, match=f"{name} is a link that leads out of the run's folder; take it away"):
        resume(run)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"state": "interrupted"}', "was made by another version of xaitool"),
        ('{"format": 2}', "was made by another version of xaitool"),
        ("{", "run.json is damaged"),
        (
            json.dumps({"format": FORMAT, "state": "failed", "started": "", "resumed": []}),
            r"damaged \(its 'done' is missing or of another kind\); begin again: xaitool run .*recipe\.lock\.yaml",
        ),
        (
            json.dumps(
                {"format": FORMAT, "state": "failed", "started": "", "resumed": [], "done": ["data"], "stages": {}}
            ),
            r"damaged \(in the stage data\); begin again",
        ),
        (json.dumps({**JOURNAL, "done": [["data"]], "stages": {"data": {}}}), r"damaged \(in the stage \['data'\]\)"),
        (json.dumps({**JOURNAL, "stages": {"fit": {"seconds": "1"}}}), r"damaged \(in the stage fit\)"),
        (json.dumps({**JOURNAL, "stages": {"data": {"fingerprint": 7}}}), r"damaged \(in the stage data\)"),
        ("[" * 100_000, r"damaged \(it is nested too deeply\); begin again"),
        (None, "is not a run's folder: it has no run.json"),
    ],
)
def test_what_is_no_run_of_this_version_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(FolderError, match=message):
        resume(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["run.json"] * bool(content)


def test_other_data_are_refused(interrupted: Path) -> None:
    told = journal(interrupted)
    told["stages"]["data"]["fingerprint"] = "f" * 64
    (interrupted / "run.json").write_text(json.dumps(told))
    with pytest.raises(FolderError, match=r"dataset shapes: the data are not those .*fingerprint f{16}, now"):
        resume(interrupted)


def test_a_damaged_result_is_made_again(interrupted: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("in the report")

    with monkeypatch.context() as breaking:
        breaking.setattr(Stages, "report", broken)
        with pytest.raises(ZeroDivisionError) as caught:
            resume(interrupted)
    assert caught.value.__notes__ == [f"to go on from there: xaitool run --resume {interrupted}"]
    weights = interrupted / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    heard = Heard()
    done = resume(interrupted, display=heard)
    assert f"{weights} is damaged: its sha256 is not the one it was written with" in " ".join(heard.said)
    assert_same(done.folder, whole, "*curves*")


@pytest.mark.parametrize("content", ["null", "[]", '{"gradcam": {}}', "{"])
def test_what_is_not_what_was_written_is_told_and_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/choices.json").write_text(content)
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT}))
    warnings: list[str] = []
    assert Finished.read(RunFolder(tmp_path), ["choose"], warnings.append).stages == []
    (warning,) = warnings
    assert "checkpoints/choices.json" in warning
    assert warning.endswith("the run goes on from the stage choose")


def test_what_failed_is_tried_again(bare: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaitool_gradcam.explainers import CAM

    explain, images = CAM.explain_together, []  # CAM.explain asks it one question

    def failing(self: CAM, subject: Any, some: Any, questions: Any) -> Any:
        images.append(len(some))
        if len(images) > 1:  # not the trial before training
            raise ZeroDivisionError("in the plugin")
        return explain(self, subject, some, questions)

    with monkeypatch.context() as broken:
        broken.setattr(CAM, "explain_together", failing)
        with pytest.raises(PluginError, match="in the plugin") as caught:
            run(bare, set={"explain.methods": ["gradcam"], "train.epochs": 1}, out=out)
    folder = only_folder(out)
    assert caught.value.__notes__ == [
        f"to go on from there: xaitool run --resume {folder}",
        "with another setting: add --set KEY=VALUE --force",
    ]
    assert "explain" not in journal(folder)["done"]
    monkeypatch.setattr(Trainer, "step", pytest.fail)
    done = resume(folder)
    assert done.journal["state"] == "finished"
    assert done.maps("gradcam").shape == (len(done.explained), 32, 32)
    assert done.journal["stages"]["explain"]["failed"] == {}
    assert not (folder / "checkpoints").exists()


Program = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str]) -> Program:
    def call(*arguments: str) -> tuple[Any, str, str]:
        status: Any = 0
        try:
            main(["run", *arguments])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capfd.readouterr()

    return call


def test_sigterm_ends_the_run_and_the_command_to_go_on_is_shown(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.yaml").write_text(BARE)
    before, real = signal.getsignal(signal.SIGTERM), Trainer.step

    def interrupted(self: Trainer, *arguments: Any) -> Any:
        if len(self.fitted.lrs) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *arguments)

    with monkeypatch.context() as interrupting:
        interrupting.setattr(Trainer, "step", interrupted)
        ended, _, shown = program("bare.yaml")
    folder = only_folder(tmp_path / "runs").relative_to(tmp_path)
    assert ended == 143
    assert shown.splitlines()[-1] == f"to go on from there: xaitool run --resume {folder}"
    assert journal(folder)["state"] == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is before
    ended, printed, _ = program("--resume", str(folder), "--json")
    assert ended == 0
    assert json.loads(printed)["state"] == "finished"
    ended, printed, shown = program("--resume", str(folder))
    assert (ended, printed.strip()) == (0, str(folder.absolute()))
    assert "is finished; there is nothing left to do" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give a RECIPE to begin a run, or --resume RUN to go on with one"),
        (["quickstart", "--resume", "runs"], "Give a RECIPE to begin a run, or --resume RUN to go on with one"),
        (["quickstart", "--force"], "--force goes with --resume"),
        (["--resume", "runs", "--out", "there"], "--out does not go with --resume"),
        (["--resume", "nowhere"], "nowhere is not a run's folder"),
    ],
)
def test_what_does_not_go_together_is_told(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, shown = program(*arguments)
    assert status == 2
    assert message in shown
    assert list(tmp_path.iterdir()) == []


def test_the_public_name_is_there() -> None:
    assert xaitool.resume is resume
