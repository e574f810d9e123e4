"""Plugins that fail while a run goes on: named, and nothing else lost; and observers, who cannot change a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xaitool import Recipe, Run, hookimpl, run
from xaitool.engine import journal as journal_module
from xaitool.engine import stages as stages_module
from xaitool.engine.progress import Silent
from xaitool.errors import ContractError, ExplainError, PluginError, TrainingError
from xaitool.plugins import Catalog, Plugin, catalog


def only_folder(out: Path) -> Path:
    (folder,) = out.glob("*/*")
    return folder


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*_arguments: Any, **_named: Any) -> Any:
        raise error

    return function


@pytest.fixture
def fails_after_training(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[BaseException]], None]:
    """Let gradcam++ fail from its first real call on (its trial before training is fine)."""

    def install(kind: type[BaseException]) -> None:
        from xaitool_gradcam.explainers import CAM

        explain = CAM.explain_together

        def sometimes(self: Any, subject: Any, images: Any, questions: Any) -> Any:
            if any(cam.name == "gradcam++" for cam, _ in questions) and len(images) > 1:
                raise kind("no good")
            return explain(self, subject, images, questions)

        monkeypatch.setattr(CAM, "explain_together", sometimes)

    return install


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            ZeroDivisionError,
            r"plugin gradcam \(xaitool .*\) failed in choose and explain: gradcam\+\+: no good \(Z.*\)",
        ),
        (SystemExit, r"plugin gradcam \(xaitool .*\) failed in choose and explain: gradcam\+\+: no good \(Sys.*\)"),
        (ExplainError, r"gradcam\+\+ \(plugin gradcam \(xaitool .*\)\) failed in choose and explain: no good"),
    ],
)
def test_one_failing_explainer_loses_nobody_elses_maps(
    finished: Run, tiny: Recipe, out: Path, fails_after_training: Callable[[Any], None], kind: Any, message: str
) -> None:
    fails_after_training(kind)
    with pytest.raises(PluginError, match=rf"^{message}; all the rest is done, and in "):
        run(tiny, out=out)
    done = Run(only_folder(out))
    assert done.journal["state"] == "failed"
    assert list(done.journal["stages"]["explain"]["failed"]) == ["gradcam++"]
    assert "no good" in done.journal["error"]
    for method in ("gradcam", "gradcam-layer1"):
        np.testing.assert_array_equal(done.maps(method, "star"), finished.maps(method, "star"))
    assert not (done.folder / "explanations/gradcam++").exists()
    page = done.report.read_text()
    assert "gradcam++ gave no maps: " in page
    shown = json.loads(page.partition('id="gallery-data">')[2].partition("</script>")[0])
    assert [each["name"] for each in shown["explainers"]] == ["gradcam", "gradcam-layer1"]
    log = (done.folder / "run.log").read_text()
    assert f"{kind.__name__}: no good" in log
    assert "Traceback" in log


@pytest.mark.parametrize("label", ["gradcam", "gradcam++", "gradcam-layer1"])
def test_of_several_explainers_in_a_package_the_right_one_is_named(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain_together

    def sometimes(self: Any, subject: Any, images: Any, questions: Any) -> Any:
        labels = [cam.name + ("-layer1" if cam.config.layers else "") for cam, _ in questions]
        if len(images) > 1 and label in labels:
            raise KeyError("mine")
        return explain(self, subject, images, questions)

    monkeypatch.setattr(CAM, "explain_together", sometimes)
    with pytest.raises(PluginError, match="mine"):
        run(tiny, set={"explain.judge.images": 0, "train.epochs": 1}, out=out)
    done = Run(only_folder(out))
    assert list(done.journal["stages"]["explain"]["failed"]) == [label]
    name = "gradcam++" if label == "gradcam++" else "gradcam"
    assert rf"failed in explain: {name}: 'mine' (KeyError" in done.journal["error"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda subject, images: subject.module(images[:, :1]), "expected input"),
        (lambda subject, images: torch.nn.Conv2d(7, 1, 3)(images), "expected input"),
    ],
)
def test_an_explainer_that_feeds_a_network_nonsense_is_itself_to_blame(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, fault: Any, reason: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain_together

    def sometimes(self: Any, subject: Any, images: Any, questions: Any) -> Any:
        if len(images) > 1:
            fault(subject, images)
        return explain(self, subject, images, questions)

    monkeypatch.setattr(CAM, "explain_together", sometimes)
    with pytest.raises(
        PluginError, match=rf"plugin gradcam \(xaitool .*\) failed in explain: gradcam: (?s:.*){reason}"
    ):
        run(tiny, set={"explain.judge.images": 0, "train.epochs": 1, "explain.methods": ["gradcam"]}, out=out)


def spoil_weights(module: Any) -> None:
    next(module.parameters()).data.zero_()


def spoil_hooks(module: Any) -> None:
    next(iter(module.children())).register_forward_hook(lambda _module, _inputs, output: output * 0)


def exchange_a_part(module: Any) -> None:
    module.act1 = torch.nn.Identity()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda module: module.register_buffer("leftover", torch.zeros(3)), "its parts"),
        (lambda module: module.add_module("leftover", torch.nn.ReLU()), "its parts"),
        (exchange_a_part, "its parts"),
        (spoil_weights, "its weights"),
        (spoil_hooks, "hooks"),
        (lambda module: module.train(), "train or eval mode"),
        (lambda module: module.requires_grad_(False), "requires_grad or .grad"),
    ],
)
def test_an_explainer_that_spoils_the_model_is_found_out_and_spoils_no_other(
    finished: Run, tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, what: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain_together

    def vandal(self: Any, subject: Any, images: Any, questions: Any) -> Any:
        maps = explain(self, subject, images, questions)
        if any(cam.name == "gradcam++" for cam, _ in questions) and len(images) > 1:
            spoil(subject.module)
        return maps

    monkeypatch.setattr(CAM, "explain_together", vandal)
    methods = ["gradcam++", "gradcam"]
    with pytest.raises(
        PluginError, match=rf"broke its contract in explain: gradcam\+\+: leaves .*\({what}\); it was put"
    ):
        run(tiny, set={"explain.methods": methods, "explain.judge.images": 0}, out=out)
    done = Run(only_folder(out))
    np.testing.assert_array_equal(done.maps("gradcam", "true"), finished.maps("gradcam", "true"))


@pytest.mark.parametrize(("spoil", "what"), [(spoil_weights, "its weights"), (exchange_a_part, "its parts")])
def test_an_explainer_that_spoils_the_model_at_its_trial_is_found_out_before_training(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, what: str
) -> None:
    from xaitool_gradcam.explainers import CAM

    explain = CAM.explain

    def vandal(self: Any, subject: Any, images: Any, targets: Any) -> Any:
        maps = explain(self, subject, images, targets)
        spoil(subject.module)
        return maps

    monkeypatch.setattr(CAM, "explain", vandal)
    with pytest.raises(
        ContractError,
        match=rf"broke its contract: gradcam: leaves the model or torch changed \({what}.*\) by a trial expl",
    ):
        run(tiny, out=out)
    assert "fit" not in Run(only_folder(out)).journal["stages"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores: replace(scores, values=scores.values[:-1]), r"gave 39 values for 40 images"),
        (lambda scores: replace(scores, chance=[0.1] * 41), r"gave 41 chance for 40 images"),
        (lambda scores: replace(scores, values=[2.5] * 40), r"gave a score of 2\.5, out of its range of -1 to 1"),
        (lambda scores: replace(scores, curves={"x": np.zeros((3, 5))}), r"gave 3 curves 'x' for 40 images"),
        (lambda scores: list(scores.values), r"should give Scores, not a list"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_named_and_not_the_explainer(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, message: str
) -> None:
    from xaitool_metrics.sanity import Randomisation

    score = Randomisation.score
    monkeypatch.setattr(Randomisation, "score", lambda self, *given: spoil(score(self, *given)))
    change = {"explain.methods": ["gradcam"], "train.epochs": 1, "explain.triage": False}
    blame = rf"plugin metrics \(xaitool .*\) broke its contract: randomisation: {message}"
    with pytest.raises(PluginError, match=blame):
        run(tiny, set=change, out=out)


def breaks_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    count = iter(range(calls))

    def sometimes(*arguments: Any, **named: Any) -> Any:
        if next(count, None) is None:
            raise ZeroDivisionError("in the middle")
        return function(*arguments, **named)

    return sometimes


def test_a_model_that_raises_while_it_is_trained_is_named(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from timm.models.resnet import ResNet

    fit = stages_module.fit

    def breaking(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(ResNet, "forward_features", breaks_after(7, ResNet.forward_features))
        return fit(*arguments, **named)

    monkeypatch.setattr(stages_module, "fit", breaking)
    blame = r"^plugin timm \(xaitool .*\) failed in fit: timm: in the middle \(ZeroDivisionError\)\nto go on from there"
    with pytest.raises(PluginError, match=blame):
        run(tiny, out=out)
    done = Run(only_folder(out))
    assert len(done.history) == 1  # of five steps and two test batches: what was done is kept
    assert len(list((done.folder / "checkpoints").glob("fit-*.safetensors"))) == 1


def test_a_schedule_that_raises_while_it_steps_is_named(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_onecycle.schedules import _OneCycleLR

    monkeypatch.setattr(_OneCycleLR, "get_lr", breaks_after(3, _OneCycleLR.get_lr))
    with pytest.raises(PluginError, match=r"^plugin onecycle \(xaitool .*\) failed in fit: lr_finder_onecycle: in the"):
        run(tiny, out=out)


def test_the_engines_own_errors_are_nobody_elses(tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "fit", raising(KeyError("ours")))
    with pytest.raises(KeyError, match="ours"):
        run(tiny, out=out)


def test_memory_that_runs_out_is_no_plugins_fault(tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "fit", raising(torch.OutOfMemoryError("2 GiB")))
    with pytest.raises(TrainingError, match=r"ran out of memory in fit; lower train\.batch_size"):
        run(tiny, out=out)


class Watcher:
    """An observer that notes what it is told, and meddles with all that it can reach."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    @hookimpl
    def xaitool_run_started(self, run: Any, recipe: Any) -> None:
        self.told.append(("started", str(run), recipe["name"], recipe["train"]["scheduler"]["use"]))

    @hookimpl
    def xaitool_epoch_finished(self, record: Any) -> None:
        self.told.append(("epoch", record["epoch"], record["train_loss"]))
        record["train_loss"] = "spoilt"
        torch.manual_seed(0)

    @hookimpl
    def xaitool_stage_finished(self, stage: Any, record: Any) -> None:
        self.told.append(("stage", stage, record["seconds"]))
        record.clear()
        np.random.seed(0)
        raise ValueError(f"cannot bear {stage}")

    @hookimpl
    def xaitool_run_finished(self, state: Any, error: Any) -> None:
        self.told.append(("finished", state, error))


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    watcher, real = Watcher(), catalog()
    hooks = tuple(name for name in dir(watcher) if name.startswith("xaitool_"))
    plugin = Plugin("watch/main", "watch", "2.0", hooks=hooks)
    real.manager.register(watcher, name="watch/main")
    monkeypatch.setattr(journal_module, "catalog", lambda: Catalog((*real.plugins, plugin), real.offers, real.manager))
    yield watcher
    real.manager.unregister(name="watch/main")


class Heard(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        super().warn(text)


def test_an_observer_sees_everything_and_changes_nothing(
    finished: Run, tiny: Recipe, out: Path, watcher: Watcher
) -> None:
    heard = Heard()
    done = run(tiny, out=out, display=heard)
    history = [("epoch", each["epoch"], each["train_loss"]) for each in done.history]
    assert [each for each in watcher.told if each[0] == "epoch"] == history
    assert watcher.told[0] == ("started", str(done.folder), "tiny", "xaitool/lr_finder_onecycle")
    assert watcher.told[-1] == ("finished", "finished", None)
    stages = ["data", "model", "tune", "fit", "evaluate", "choose", "explain", "judge", "curves", "triage", "report"]
    assert [each[1] for each in watcher.told if each[0] == "stage"] == stages
    assert "observer main (watch 2.0) failed in xaitool_stage_finished: cannot bear fit" in heard.warnings
    assert "cannot bear fit" in (done.folder / "run.log").read_text()
    assert done.journal["state"] == "finished"
    # The same to the last bit as a run that nobody observed.
    assert [each["train_loss"] for each in done.history] == [each["train_loss"] for each in finished.history]
    assert (done.folder / "predictions.csv").read_text() == (finished.folder / "predictions.csv").read_text()
    assert done.journal["stages"]["evaluate"]["accuracy"] == finished.accuracy


def test_an_observer_is_told_of_a_run_that_fails(
    tiny: Recipe, out: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages_module, "fit", raising(TrainingError("the loss is no number")))
    with pytest.raises(TrainingError):
        run(tiny, out=out)
    assert watcher.told[-1] == ("finished", "failed", "the loss is no number")


def test_what_a_plugin_in_use_should_change_is_told(tiny: Recipe, out: Path) -> None:
    offer = replace(tiny.model.offer, plugin=replace(tiny.model.offer.plugin, warnings=("hook x is to go",)))
    heard, recipe = Heard(), replace(tiny, model=replace(tiny.model, offer=offer))
    with pytest.raises(ExplainError):
        run(replace(recipe, settings=_with_target(recipe, "nothing")), out=out, display=heard)
    assert [text for text in heard.warnings if text.endswith("hook x is to go")]
    assert json.loads((only_folder(out) / "run.json").read_text())["state"] == "failed"


def _with_target(recipe: Recipe, target: str) -> Any:
    explain = recipe.settings.explain.model_copy(update={"targets": (target,)})
    return recipe.settings.model_copy(update={"explain": explain})
