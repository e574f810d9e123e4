"""Explainers that share are asked once; one that fails, or finds nothing to look at, loses nobody else's maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xaitool import Recipe, Run, run
from xaitool.contracts import ModelBundle, Sharing, Subject
from xaitool.engine.explain import explain
from xaitool.engine.progress import Display, Silent
from xaitool.engine.runtime import using
from xaitool.engine.together import explain_group, groups
from xaitool.errors import ContractError, PluginError


class Counting:
    """An explainer that shares with those of its family, and notes what it is asked."""

    def __init__(self, family: str | None, factor: float = 1) -> None:
        self.family, self.factor = family, factor
        self.asked: list[tuple[int, int]] = []

    def sharing(self, _subject: Subject) -> str | None:
        return self.family

    def explain(self, _subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return self.factor * images.sum(1) * targets[:, None, None] + torch.rand(1)

    def explain_together(
        self, subject: Subject, images: Tensor, questions: Sequence[tuple[Any, Tensor]]
    ) -> list[Tensor]:
        self.asked.append((len(images), len(questions)))
        state, found = torch.get_rng_state(), []
        for each, targets in questions:
            torch.set_rng_state(state)
            found.append(each.explain(subject, images, targets))
        return found


class Alone:
    def explain(self, _subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        return images.sum(1)


def test_those_with_the_same_key_are_a_group() -> None:
    one, two, other, loner = Counting("a"), Counting("a"), Counting("b"), Counting(None)
    assert isinstance(one, Sharing)
    found = groups({"x": one, "y": other, "z": two, "u": loner, "v": Alone()}, Subject(nn.Linear(1, 1)))
    assert found == [{"x": one, "z": two}, {"y": other}]


def together(group: dict[str, Any], images: Tensor, targets: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    with using(None) as runtime:
        return explain_group(
            group, Subject(nn.Linear(1, 1)), images, targets, seed=5, runtime=runtime, display=Silent()
        )


def test_a_group_is_asked_once_for_each_chunk_and_answers_as_each_does_alone() -> None:
    group = {"x": Counting("a"), "y": Counting("a", 3)}
    images = torch.randn(40, 3, 8, 8)
    targets = {"predicted": torch.arange(40) % 4, "true": torch.arange(40) % 3}
    found = together(group, images, targets)
    assert group["x"].asked == [(32, 4), (8, 4)]
    assert group["y"].asked == []
    for label, explainer in group.items():
        for target, classes in targets.items():
            alone = explain(explainer, Subject(nn.Linear(1, 1)), images, classes, seed=5)
            assert torch.equal(found[label][target], alone)


def test_the_wrong_number_of_answers() -> None:
    class Terse(Counting):
        def explain_together(self, *given: Any) -> list[Tensor]:
            return super().explain_together(*given)[:1]

    with pytest.raises(ContractError, match="explain_together gave 1 sets of maps for 2 questions"):
        together({"x": Terse("a")}, torch.randn(4, 3, 8, 8), {"a": torch.zeros(4).long(), "b": torch.ones(4).long()})


BARE: dict[str, Any] = {
    "train.epochs": 1,
    "train.scheduler": {"use": "onecycle", "max_lr": 0.05},
    "dataset.train": 32,
    "dataset.test": 40,
    "explain.metrics": [],
    "explain.judge.images": 0,
    "explain.triage": False,
    "explain.targets": ["predicted", "true"],
    "explain.select": {"misclassified": 3, "correct": 3},
    "report.html": False,
}


def test_a_run_explains_with_one_forward_pass_what_it_can(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_gradcam.explainers import CAM

    asked: list[list[str]] = []
    explain_together = CAM.explain_together

    def noted(self: Any, subject: Any, images: Any, questions: Any) -> Any:
        asked.append([cam.name for cam, _ in questions])
        if fails and len(questions) > 1:
            raise ZeroDivisionError("together")
        return explain_together(self, subject, images, questions)

    monkeypatch.setattr(CAM, "explain_together", noted)
    methods = ["gradcam", "layercam", {"use": "gradcam", "as": "first", "layers": ["layer1"]}]
    found = []
    for fails in (False, True):
        asked.clear()
        done = run(tiny, set={**BARE, "explain.methods": methods}, out=out / str(fails))
        found.append(done)
        trials, real = asked[:3], asked[3:]
        assert trials == [["gradcam"], ["layercam"], ["gradcam"]]
        all_at_once = ["gradcam"] * 2 + ["layercam"] * 2 + ["gradcam"] * 2
        assert real == [all_at_once, *[[name] for name in all_at_once]] if fails else real == [all_at_once]
    for method in ("gradcam", "layercam", "first"):
        for target in ("predicted", "true"):
            np.testing.assert_allclose(*(each.maps(method, target) for each in found), atol=1e-6)


class Lines(Display):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_an_explainer_that_finds_no_grid_is_excused_and_the_rest_is_done(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_timm import models

    def perceptron(_config: Any, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
        channels, height, width = input_size
        first, last = nn.Linear(channels * height * width, 8), nn.Linear(8, num_classes)
        module = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
        return ModelBundle(module, input_size, ())

    monkeypatch.setattr(models, "build_timm", perceptron)
    change = {**BARE, "explain.methods": [{"use": "gradcam", "layers": "auto"}, "fullgrad"], "explain.judge.images": 4}
    change |= {"explain.metrics": [{"use": "abpc", "steps": 8}]}
    display = Lines()
    with pytest.raises(PluginError, match=r"gradcam .* failed in choose and explain: the model has no layer whose"):
        run(tiny, set=change, out=out, display=display)
    (folder,) = (out / "tiny").iterdir()
    done = Run(folder)
    assert done.maps("fullgrad", "true").shape[1:] == (32, 32)
    assert list(done.journal["stages"]["explain"]["failed"]) == ["gradcam"]
    before_the_training = "gradcam will give no maps: the model has no layer whose output is a grid over the image"
    assert before_the_training in display.warnings[0]


def test_where_a_model_names_no_layers_they_are_found_and_a_coarse_one_is_told(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_timm import models

    def two_stages(_config: Any, *, num_classes: int, input_size: tuple[int, int, int]) -> ModelBundle:
        blocks = [nn.Sequential(nn.Conv2d(a, b, 3, 4, 1), nn.ReLU()) for a, b in ((3, 6), (6, 8))]
        module = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))
        return ModelBundle(module, input_size, ())

    monkeypatch.setattr(models, "build_timm", two_stages)
    display = Lines()
    done = run(tiny, set={**BARE, "explain.methods": ["gradcam"]}, out=out, display=display)
    model = done.journal["stages"]["model"]
    assert model["cam_layers"] == ["0", "1"]
    assert model["cam_grids"] == {"0": [8, 8], "1": [2, 2]}
    told = "gradcam: 1 has a grid of 2x2 only, which points at little more than a corner; finer are 0 (8x8): choose"
    assert [warning for warning in display.warnings if warning.startswith(told)]
