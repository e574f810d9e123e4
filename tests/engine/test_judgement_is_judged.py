"""The judgement is judged: on drawn shapes, with a trained network, and explainers of which the truth is known."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xaitool import Recipe, Run, Subject, build, run
from xaitool.borrow import borrowed
from xaitool.contracts import display
from xaitool.engine.data import load_data
from xaitool.engine.explain import gather
from xaitool.engine.model import build_model, subject_of
from xaitool.engine.runtime import open_runtime
from xaitool.judge import controls
from xaitool.judge.judge import Judge
from xaitool.judge.judgement import Judgement
from xaitool.recipe.schema import RuntimeSettings

IMAGES = 80

pytestmark = pytest.mark.xdist_group("judgements")  # of one training, in one process


class Random:
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return torch.rand(len(images), *images.shape[2:])


class Edges:
    """An edge detector that is sold as an explainer."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return controls.sobel_edges(display(images, subject.mean, subject.std))


@pytest.fixture(scope="module")
def judgements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judgement]:
    """The quickstart's network, trained; four explainers, one of them on the same network before its training."""
    recipe = Recipe.load(Path(__file__).parent.parent.parent / "recipes/quickstart.yaml").with_set(
        {
            "runtime.device": "cpu",
            "train.scheduler": {"use": "onecycle", "max_lr": 0.3},
            "explain.methods": [],
            "report.html": False,
        }
    )
    done: Run = run(recipe, out=tmp_path_factory.mktemp("runs"))
    assert done.accuracy > 0.9
    data = load_data(recipe.dataset, recipe.settings.seed)
    trained = build_model(recipe.model, data, recipe.settings.seed)
    untrained = copy.deepcopy(trained.module)
    trained.module.load_state_dict(done.weights())
    subject, rows = subject_of(trained, data), torch.arange(IMAGES)
    images = gather(data.test, rows)
    assert data.test_masks is not None
    mask = torch.stack([data.test_masks[row] for row in rows.tolist()])
    metrics = {name: build("metric", name) for name in ("randomisation", "mass_in_mask")}
    metrics["abpc"] = build("metric", "abpc", steps=8)
    explainers: dict[str, tuple[Any, Any]] = {
        "gradcam": (build("explainer", "gradcam", layers=["layer3", "layer4"]), subject),
        "random": (Random(), subject),
        "edges": (Edges(), subject),
        "gradcam, untrained": (
            build("explainer", "gradcam"),
            Subject(untrained, subject.cam_layers, subject.mean, subject.std),
        ),
    }
    found = {}
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        for label, (explainer, of) in explainers.items():
            with borrowed(of.module), torch.no_grad():
                predicted = of.module.eval()(images).argmax(1)
            ids = [data.test_ids[row] for row in rows.tolist()]
            judge = Judge(of, images, predicted, ids, metrics, mask=mask, runtime=runtime)
            found[label] = judge.judge(label, explainer)
    return found


def test_gradcam_on_a_trained_network_is_faithful_and_finds_the_object(judgements: dict[str, Judgement]) -> None:
    verdict = judgements["gradcam"].verdict
    assert verdict.words() == "faithful; about the model; finds the object"


@pytest.mark.parametrize("label", ["random", "edges", "gradcam, untrained"])
def test_what_deserves_no_trust_gets_none(judgements: dict[str, Judgement], label: str) -> None:
    verdict = judgements[label].verdict
    assert not verdict.meets("faithful"), verdict.words()
    assert not verdict.meets("finds_the_object"), verdict.words()


def test_random_maps_say_nothing(judgements: dict[str, Judgement]) -> None:
    assert judgements["random"].verdict.faithfulness == "says nothing"
    assert judgements["gradcam, untrained"].verdict.faithfulness == "says nothing"


def test_an_edge_detector_ignores_the_weights(judgements: dict[str, Judgement]) -> None:
    correlation = judgements["edges"].measure("model")
    assert correlation is not None
    assert correlation.score.mean == pytest.approx(1.0)
    assert not judgements["edges"].verdict.meets("about_the_model")
