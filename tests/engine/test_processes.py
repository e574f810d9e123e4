"""Several processes do what one does: the same training, predictions, maps and verdicts; and one of them writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from run_folders import assert_same, contents, kill_in_step, only_folder
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import xaitool
from xaitool import Recipe, Run
from xaitool.cli.processes import start_the_others
from xaitool.engine.batch_norm import BatchNormOfAll
from xaitool.engine.explaining import Explaining
from xaitool.engine.gradients import Gradients
from xaitool.engine.loading import NO_LABEL, make_loader
from xaitool.engine.processes import Processes, joined
from xaitool.engine.progress import Silent
from xaitool.engine.run import check_compiling
from xaitool.errors import DeviceError, LeftBehindError, TrainingError, XaitoolError

# Batches of 32 and a last one of 5: no two processes have as many of it.
RECIPE = """
recipe: 1
name: several
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 421, test: 70, classes: [circle, cross, star], augment: [HorizontalFlip]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train:
  epochs: 1
  batch_size: 32
  eval_batch_size: 30
  optimizer: {name: sgd, momentum: 0.9}
  scheduler: {use: onecycle, max_lr: 0.01}
  ema: {decay: 0.9}
  label_smoothing: 0.1
  clip_grad_norm: 1.0
  checkpoint_minutes: 1.0e-9 # as soon as may be
explain: {select: {misclassified: 1}, metrics: [], judge: {images: 0}, triage: false}
report: {html: false}
"""
EXPLAINING = {
    "explain.select": {"misclassified": 30, "correct": 5},
    "explain.methods": ["gradcam", {"use": "gradcam++", "layers": "auto"}],
    "explain.metrics": [{"use": "abpc", "steps": 8}, "randomisation", "mass_in_mask"],
    "explain.judge.images": 20,
    "explain.triage": True,
}
# A test's own figures are sketches, and those of another process are not; the recipes name other folders.
FROM_ONE_OR_MORE = ("figures/*", "recipe.yaml", "recipe.lock.yaml")
KILLED_AT = 13


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "several.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def by_one(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return xaitool.run(recipe, out=tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def with_its_weights(by_one: Run) -> dict[str, Any]:
    """What makes it a run that explains and judges with the weights of a finished one."""
    return {"model.checkpoint": str(by_one.folder / "model.safetensors"), "train": None, **EXPLAINING}


@pytest.fixture(scope="module")
def explained_by_one(recipe: Path, with_its_weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xaitool.run(recipe, set=with_its_weights, out=tmp_path_factory.mktemp("explained")).folder


Together = Callable[..., list[BaseProcess]]


@pytest.fixture
def together(start: Callable[..., BaseProcess]) -> Together:
    """Calls a function in several processes that are started together, and waits for them; gives them."""

    def called(count: int, function: Callable[..., Any], *arguments: Any) -> list[BaseProcess]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = [start(_as_one_of, rank, count, port, function, *arguments) for rank in range(count)]
        for process in processes:
            process.join(120)
        assert not any(process.is_alive() for process in processes)
        return processes

    return called


def _as_one_of(rank: int, count: int, port: int, function: Callable[..., Any], *arguments: Any) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    function(*arguments)


def _run(recipe: Path, out: Path, changes: dict[str, Any]) -> None:
    xaitool.run(recipe, set=changes, out=out)


def _run_until(step: int, rank: int, recipe: Path, out: Path) -> None:
    """A run in which a process is killed in a step."""
    kill_in_step(step, rank)
    xaitool.run(recipe, out=out)


def _run_until_shared(stage: str, call: int, rank: int, recipe: Path, out: Path, changes: dict[str, Any]) -> None:
    """A run in which a process is killed when it has done its part of some work of a stage that is shared out."""
    patch = pytest.MonkeyPatch()
    real_stage, real_shared, calls = getattr(Explaining, stage), Processes.shared, iter(range(call))

    def with_kills(self: Explaining, *arguments: Any) -> Any:
        patch.setattr(Processes, "shared", counted)
        return real_stage(self, *arguments)

    def counted(self: Processes, count: int, work: Callable[[int], Any]) -> list[Any]:
        if next(calls, None) is None and self.rank == rank:
            for number in range(rank, count, self.count):
                work(number)
            os.kill(os.getpid(), signal.SIGKILL)
        return real_shared(self, count, work)

    patch.setattr(Explaining, stage, with_kills)
    xaitool.run(recipe, set=changes, out=out)


def _resume(folder: Path) -> None:
    xaitool.resume(folder)


def assert_trained_alike(run: Run, other: Run) -> None:
    (epoch,), (expected,) = run.history, other.history
    for figure in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr"):
        assert epoch[figure] == pytest.approx(expected[figure], abs=1e-4), figure
    weights, others = run.weights(), other.weights()
    assert list(weights) == list(others)
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-3, atol=1e-4, msg=lambda said, name=name: name + said)


LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"],
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0", "-m"],
    "accelerate, CPUs": ["accelerate.commands.launch", "--num_processes", "2", "--cpu", "-m"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
def test_processes_that_are_launched_train_as_one_does(
    launcher: list[str], recipe: Path, by_one: Run, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", *launcher, "xaitool"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "run", str(recipe), "--out", str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{only_folder(tmp_path)}\n"
    assert done.stderr.count("test accuracy:") == 1
    assert "2 processes" in (only_folder(tmp_path) / "environment.json").read_text()
    assert (only_folder(tmp_path) / "run.log").read_text().count("stage evaluate") == 1
    run = Run(only_folder(tmp_path))
    assert_trained_alike(run, by_one)
    assert sorted(contents(run.folder)) == sorted(contents(by_one.folder))


def test_what_accelerate_does_not_start_is_known(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from xaitool.engine.launched import asked_for, left_alone\nprint(bool(left_alone()), asked_for())\n"
    )
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\n"
        "use_cpu: true\nnum_processes: 3\nnum_machines: 1\n"
    )

    def known(*options: str) -> str:
        command = [sys.executable, "-m", "accelerate.commands.launch", *options, str(script), "--num_processes=7"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert known("--cpu", "--num_processes=2") == "True 2"
    assert known("--cpu", "--num_processes=1") == "False None"
    assert known("--num_processes=2") == "True None"  # which are for GPUs, had it any
    assert known(f"--config_file={settings}") == "True None"


@pytest.mark.parametrize(("program", "becomes"), [("xaitool.__main__", True), ("pytest.__main__", False)])
def test_only_the_program_itself_becomes_all_of_them(
    program: str, becomes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("xaitool.cli.processes.asked_for", lambda: 3)
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))
    monkeypatch.setattr(sys, "argv", ["xaitool", "run", "quickstart", "--quiet"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec(program, None))
    start_the_others()
    assert bool(became) == becomes
    if becomes:
        assert "--nproc_per_node=3" in became[0]
        assert became[0][-5:] == ["-m", "xaitool", "run", "quickstart", "--quiet"]


def test_and_a_run_shows_it(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Said(Exception):
        pass

    class Heard(Silent):
        def warn(self, text: str) -> None:
            raise Said(text)

    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(Said, match="asked for several processes and has started one"):
        xaitool.run(tiny, out=tmp_path, display=Heard())


def test_the_same_weights_give_the_same_to_the_last_bit(
    recipe: Path, with_its_weights: dict[str, Any], explained_by_one: Path, together: Together, tmp_path: Path
) -> None:
    assert all(process.exitcode == 0 for process in together(2, _run, recipe, tmp_path, with_its_weights))
    wanted = contents(explained_by_one)
    assert {"predictions.csv", "verdicts.json", "triage.csv", "explanations/gradcam/predicted.npy"} <= wanted.keys()
    assert_same(only_folder(tmp_path), explained_by_one, *FROM_ONE_OR_MORE)


@pytest.mark.parametrize(("stage", "call", "killed"), [("explain", 0, 1), ("judge", 2, 0), ("judge", 5, 1)])
def test_one_is_killed_while_it_explains_and_the_run_goes_on_in_one(
    stage: str,
    call: int,
    killed: int,
    recipe: Path,
    with_its_weights: dict[str, Any],
    explained_by_one: Path,
    together: Together,
    tmp_path: Path,
) -> None:
    ends = together(2, _run_until_shared, stage, call, killed, recipe, tmp_path, with_its_weights)
    assert ends[killed].exitcode == -signal.SIGKILL
    assert ends[1 - killed].exitcode == 1
    journal = json.loads((only_folder(tmp_path) / "run.json").read_text())
    assert journal["stage"] == stage
    assert journal["state"] == ("failed" if killed else "running")
    assert_same(xaitool.resume(only_folder(tmp_path)).folder, explained_by_one, *FROM_ONE_OR_MORE)


@pytest.mark.parametrize("killed", [0, 1])
def test_one_is_killed_and_the_run_goes_on_in_one(
    killed: int, recipe: Path, by_one: Run, together: Together, tmp_path: Path
) -> None:
    ends = [process.exitcode for process in together(2, _run_until, KILLED_AT, killed, recipe, tmp_path)]
    assert ends[killed] == -signal.SIGKILL
    assert ends[1 - killed] == 1
    if killed:
        journal = json.loads((only_folder(tmp_path) / "run.json").read_text())
        assert journal["state"] == "failed"
        assert "lost touch with the other processes" in journal["error"]
    assert (only_folder(tmp_path) / "checkpoints/fit-00000010.json").is_file()
    assert_trained_alike(xaitool.resume(only_folder(tmp_path)), by_one)


def test_one_process_is_killed_and_the_run_goes_on_in_three(
    recipe: Path, by_one: Run, together: Together, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    one = start(_run_until, KILLED_AT, 0, recipe, tmp_path)
    one.join()
    assert one.exitcode == -signal.SIGKILL
    assert all(process.exitcode == 0 for process in together(3, _resume, only_folder(tmp_path)))
    assert_trained_alike(Run(only_folder(tmp_path)), by_one)


class Numbered:
    """Image i: its number, and something drawn at random."""

    def __len__(self) -> int:
        return 21

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([float(index), torch.rand(()).item()]).view(2, 1, 1), index


@pytest.mark.parametrize("pieces", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_shares_of_a_batch_are_the_batch(count: int, pieces: int) -> None:
    def batches(processes: Processes) -> list[tuple[Tensor, Tensor]]:
        loader = make_loader(Numbered(), 6, shuffle=True, seed=4, processes=processes, pieces=pieces)
        return list(loader)

    every = [batches(Processes(rank, count)) for rank in range(count)]
    whole = batches(Processes())
    assert [len(labels) for _, labels in whole] == [6, 6, 6, 3]
    assert all(len(each) == len(whole) for each in every)
    for number, (images, labels) in enumerate(whole):
        shares = [each[number] for each in every]
        real = [share_labels != NO_LABEL for _, share_labels in shares]
        assert all(len(share_labels) for _, share_labels in shares)
        assert torch.cat([share[1][kept] for share, kept in zip(shares, real, strict=True)]).equal(labels)
        assert torch.cat([share[0][kept] for share, kept in zip(shares, real, strict=True)]).equal(images)


class HalfDoneNumbers:
    """The same, as the device takes them."""

    def __len__(self) -> int:
        return 21

    def batch(self, indices: Sequence[int], /) -> tuple[Tensor, Tensor, Tensor]:
        return torch.tensor(indices).float(), torch.rand(len(indices)), torch.tensor(indices)

    def finish(self, pixels: Tensor, drawn: Tensor, /) -> Tensor:
        return torch.stack([pixels, drawn], 1)[:, :, None, None]


@pytest.mark.parametrize("pieces", [1, 4])
def test_so_they_are_where_the_device_augments(pieces: int) -> None:
    whole = list(make_loader(HalfDoneNumbers(), 6, shuffle=True, seed=4, pieces=pieces))
    every = [
        list(make_loader(HalfDoneNumbers(), 6, shuffle=True, seed=4, processes=Processes(rank, 4), pieces=pieces))
        for rank in range(4)
    ]
    for number, expected in enumerate(whole):
        shares = [each[number] for each in every]
        joint = [torch.cat([share[part][share[2] != NO_LABEL] for share in shares]) for part in range(3)]
        assert all(found.equal(wanted) for found, wanted in zip(joint, expected, strict=True))


def test_a_process_fetches_no_more_than_its_pieces() -> None:
    fetched: list[int] = []

    class Watched(Numbered):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            fetched.append(index)
            return super().__getitem__(index)

    loader = make_loader(Watched(), 8, shuffle=True, processes=Processes(1, 2), pieces=4)
    labels = torch.cat([labels for _, labels in loader])
    # Of the last batch, of 5, a piece lies in the shares of both.
    assert sorted(fetched[:8]) == sorted(labels[:8].tolist())
    assert len(fetched) < 21


def test_batches_that_are_asked_about_are_dealt_out_whole() -> None:
    whole = list(make_loader(Numbered(), 6, shuffle=False))
    for rank in range(3):
        dealt = list(make_loader(Numbered(), 6, shuffle=False, processes=Processes(rank, 3)))
        expected = whole[rank::3]
        assert [labels.tolist() for _, labels in dealt] == [labels.tolist() for _, labels in expected]


class Partly(nn.Module):
    """Has a batch norm, a parameter that some images go without, and one that all do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.sometimes = nn.Parameter(torch.ones(3))
        self.never = nn.Parameter(torch.ones(2))

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.first(images)).relu().mean((2, 3))
        return features * self.sometimes if bool((images[0, 0, 0, 0] > 10).any()) else features


def _gradients(sizes: list[int], file: Path) -> None:
    """In float64, the gradients of shares of the given sizes, the first of which has the large image."""
    torch.manual_seed(0)
    module = Partly().double()
    images, labels = _some_images(sum(sizes))
    with joined() as processes:
        if processes.rank:
            nn.init.zeros_(module.first.weight)  # until the main process's are sent
        gradients = Gradients(module, processes)
        mine = slice(sum(sizes[: processes.rank]), sum(sizes[: processes.rank + 1]))
        counts = sizes[processes.rank] > 0
        with BatchNormOfAll(processes, lambda: counts):
            logits = module(images[mine] if counts else images[-1:])
        of_mine = labels[mine] if counts else labels.new_full((1,), NO_LABEL)
        (F.cross_entropy(logits, of_mine, reduction="sum") / len(images)).backward()
        gradients.finish()
        gradients.release()
        found = {name: each.grad for name, each in module.named_parameters()} | dict(module.named_buffers())
        torch.save(found, file.with_suffix(f".{processes.rank}"))


def _some_images(count: int) -> tuple[Tensor, Tensor]:
    images = torch.randn(count, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images[0, 0, 0, 0] = 11
    return images, torch.arange(count) % 3


@pytest.mark.parametrize("sizes", [[3, 3, 2], [1, 1, 0]])
def test_gradients_and_statistics_are_those_of_the_batch(sizes: list[int], together: Together, tmp_path: Path) -> None:
    assert all(process.exitcode == 0 for process in together(3, _gradients, sizes, tmp_path / "found"))
    torch.manual_seed(0)
    module = Partly().double()
    images, labels = _some_images(sum(sizes))
    features = module.norm(module.first(images)).relu().mean((2, 3))
    with_it = torch.arange(len(images)) < sizes[0]  # those in one share with the large image
    F.cross_entropy(torch.where(with_it[:, None], features * module.sometimes, features), labels).backward()
    expected = {name: each.grad for name, each in module.named_parameters()} | dict(module.named_buffers())
    assert expected["never"] is None
    for rank in range(3):
        found = torch.load(tmp_path / f"found.{rank}")
        assert found.pop("never") is None
        torch.testing.assert_close(found, {name: each for name, each in expected.items() if name != "never"})


class Twice(nn.Module):
    """Uses one weight in two parts that are computed again for their gradients."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.reentrant = reentrant

    def forward(self, values: Tensor) -> Tensor:
        for _ in range(2):
            values = checkpoint(self.layer, values, use_reentrant=self.reentrant)
        return values


def _checkpointed(file: Path) -> None:
    """What becomes of gradients that come in one part, and of those that come in two."""
    said = []
    with joined() as processes:
        for reentrant in (False, True):
            module = Twice(reentrant)
            gradients = Gradients(module, processes)
            try:
                module(torch.ones(2, 3, requires_grad=True)).sum().backward()
                gradients.finish()
                said.append("done")
            except TrainingError as error:
                said.append(str(error))
        file.with_suffix(f".{processes.rank}").write_text("\n".join(said))


def test_gradients_that_come_in_parts_are_no_half_sums(together: Together, tmp_path: Path) -> None:
    assert all(process.exitcode == 0 for process in together(2, _checkpointed, tmp_path / "found"))
    for rank in range(2):
        done, refused = (tmp_path / f"found.{rank}").read_text().split("\n")
        assert done == "done"
        assert refused.endswith("use_reentrant=False does without")


def _sharing(file: Path) -> None:
    """What becomes of work that fails in one process, in both, and in the main one."""

    def fails_at(place: int, rank: int | None) -> Callable[[int], int]:
        def work(number: int) -> int:
            if number == place and rank in (None, processes.rank):
                raise ValueError(f"no {number}")
            return number * number

        return work

    def outcome(call: Callable[[], Any]) -> str:
        try:
            return str(call())
        except (ValueError, XaitoolError) as error:
            return f"{type(error).__name__}: {error}"

    with joined() as processes:
        found = [
            outcome(lambda: processes.shared(5, lambda number: number * number)),
            outcome(lambda: processes.shared(5, fails_at(3, None))),
            outcome(lambda: processes.shared(5, fails_at(3, 1))),
            outcome(lambda: processes.from_main(lambda: fails_at(0, None)(0))),
            outcome(lambda: processes.from_main(lambda: processes.rank)),
        ]
        file.with_suffix(f".{processes.rank}").write_text("\n".join(found))


def test_what_fails_in_one_process_fails_in_all(together: Together, tmp_path: Path) -> None:
    assert all(process.exitcode == 0 for process in together(2, _sharing, tmp_path / "found"))
    main, other = ((tmp_path / f"found.{rank}").read_text().split("\n") for rank in range(2))
    assert main[0] == other[0] == "[0, 1, 4, 9, 16]"
    assert main[1] == other[1] == "ValueError: no 3"
    assert main[2].startswith("PluginError: process 1 has met an error that process 0 does not meet: ")
    assert other[2] == "ValueError: no 3"
    assert main[3] == "ValueError: no 0"
    assert other[3].startswith(f"{LeftBehindError.__name__}: ")
    assert main[4] == other[4] == "0"


def test_processes_that_mpi_has_started_are_not_as_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "1")
    with joined() as processes:
        assert processes.alone
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(DeviceError, match=r"MPI has started 4 processes, .* start them by torchrun"), joined():
        pass


def test_several_processes_are_not_compiled_for(tiny: Recipe) -> None:
    changed = tiny.with_set({"train.compile": True})
    check_compiling(changed, Processes())
    with pytest.raises(DeviceError, match=r'set\["train\.compile"\]: train\.compile: it takes a single process, not 2'):
        check_compiling(changed, Processes(count=2))
    check_compiling(tiny, Processes(count=2))
