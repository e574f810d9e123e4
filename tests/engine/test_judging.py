"""Judging in a run: verdicts.json, requirements, the choice of a layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xaitool import Recipe, Run, run
from xaitool.cli import main
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.select import select
from xaitool.errors import MetricError, PluginError, RecipeError
from xaitool.findings import findings
from xaitool.recipe.schema import SelectSettings


def verdicts(done: Run) -> dict[str, Any]:
    return json.loads((done.folder / "verdicts.json").read_text())  # type: ignore[no-any-return]


def test_every_explainer_gets_a_verdict_with_all_that_it_rests_on(finished: Run) -> None:
    found = verdicts(finished)
    assert list(found) == ["gradcam", "gradcam++", "gradcam-layer1"]
    for each in found.values():
        assert each["faithfulness"] in ("says nothing", "image-specific", "faithful")
        assert [score["metric"] for score in each["scores"]] == ["abpc", "randomisation", "mass_in_mask"]
        for score in each["scores"]:
            assert score["range"][0] <= score["low"] <= score["mean"] <= score["high"] <= score["range"][1]
            assert score["n"] + sum(score["left_out"].values()) == 40
            assert score["direction"] in ("higher", "lower")
        assert 0 < each["scores"][2]["chance"] < 0.5
        assert len(each["controls"]) == 5
        assert len(each["object_controls"]) == 6
        assert each["layers"]["used"] in each["layers"]["scores"]
    assert found["gradcam"]["layers"]["used"] == "layer4"
    assert found["gradcam-layer1"]["layers"]["used"] == "layer1"
    assert finished.journal["stages"]["judge"]["images"] == 40
    assert finished.journal["stages"]["judge"]["verdicts"]["gradcam"] == found["gradcam"]["words"]


def test_the_best_layer_is_chosen_on_images_kept_apart(tiny: Recipe, out: Path) -> None:
    done = run(tiny, set={"explain.methods": [{"use": "gradcam", "layers": "auto"}, "gradcam++"]}, out=out)
    choice = verdicts(done)["gradcam"]["layers"]
    assert choice["automatic"]
    best = max(choice["scores"], key=lambda name: choice["scores"][name]["mean"])
    used = done.journal["stages"]["choose"]["layers"]["gradcam"]
    assert choice["used"] == used
    assert choice["best"] == (None if used == best else best)
    named = run(tiny, set={"explain.methods": [{"use": "gradcam", "layers": [used]}]}, out=out)
    assert (done.maps("gradcam", "true") == named.maps("gradcam", "true")).all()


@pytest.mark.parametrize(
    ("total", "images", "expected"),
    [
        (1000, 200, (200, 200)),
        (100, 200, (45, 49)),
        (64, 24, (24, 24)),
        (64, 200, (64, 0)),  # two halves of it would both tell nothing
        (40, 200, (40, 0)),
        (29, 200, (0, 0)),  # all of it would
        (12, 4, (2, 4)),  # few are asked for
    ],
)
def test_the_images_of_the_choice_are_used_for_nothing_else(total: int, images: int, expected: tuple[int, int]) -> None:
    import torch

    logits = torch.randn(total, 4, generator=torch.Generator().manual_seed(0))
    evaluation = Evaluation(logits, torch.arange(total) % 4)
    found = select(evaluation, SelectSettings(misclassified=6, correct=4), 0, judge_images=images)
    apart, judged, explained = (set(rows.tolist()) for rows in (found.apart, found.judged, found.rows))
    assert not apart & judged
    assert not apart & explained
    assert (len(judged), len(apart)) == expected


@pytest.mark.parametrize(("total", "judged"), [(40, 40), (24, 0)])
def test_with_few_test_images_none_are_spent_on_what_can_tell_nothing(
    tiny: Recipe, out: Path, total: int, judged: int
) -> None:
    change = {"train": None, "dataset.test": total, "explain.targets": ["predicted"], "explain.triage": False}
    done = run(tiny, set={**change, "explain.methods": [{"use": "gradcam", "layers": "auto"}]}, out=out)
    told = (done.folder / "run.log").read_text()
    assert (
        f"{total} test images: none for choosing layers, {judged or 'none'} for judging explanations; each takes 30 to "
        "tell anything"
    ) in told
    why = "layer: gradcam looks at layer4, as it does by itself: too few images to choose a layer"
    assert why in told
    assert "choose" not in done.journal["stages"]
    assert done.did("judge") == bool(judged)
    unjudged = "no explanation was judged: 24 test images are too few, and it takes 30 to tell anything"
    assert (unjudged in findings(done)) == (not judged)
    if judged:
        assert verdicts(done)["gradcam"]["layers"]["too_few"]
        assert "gradcam looks at layer4, as it does by itself" in done.report.read_text()


def test_a_verdict_that_falls_short_ends_the_run_with_status_3(
    tiny: Recipe, out: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(tiny.source.text.replace("[predicted, true, runner_up, star]", "[predicted]"))
    require = "explain.require=[faithful, finds_the_object, about_the_model]"
    with pytest.raises(SystemExit) as stopped:  # a net of two short epochs
        main(
            [
                "run",
                str(file),
                "--out",
                str(out),
                "--set",
                require,
                "--set",
                "train.epochs=1",
                "--set",
                "explain.judge.images=30",
                "-q",
            ]
        )
    assert stopped.value.code == 3
    (folder,) = out.glob("*/*")
    done = Run(folder)
    assert done.journal["state"] == "failed"
    assert done.report.is_file()
    told = capsys.readouterr().err
    short = [label for label, each in verdicts(done).items() if each["faithfulness"] != "faithful"]
    assert short
    assert all(f"{label} is not faithful (" in told for label in short)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"explain.require": ["honest"]}, RecipeError, "explain.require.0"),
        (
            {"explain.require": ["faithful"], "explain.metrics": ["gini"]},
            MetricError,
            "metric of aspect 'faithfulness'",
        ),
        (
            {"explain.require": ["about_the_model"], "explain.metrics": ["abpc"], "explain.judge.images": 30},
            MetricError,
            "aspect 'model'",
        ),
        ({"explain.require": ["faithful"], "explain.judge.images": 0}, RecipeError, "explain.judge.images of 30"),
        ({"explain.require": ["faithful"], "explain.methods": []}, RecipeError, "no method in explain.methods"),
        ({"explain.require": ["faithful"], "explain.metrics": []}, RecipeError, "no metric in explain.metrics"),
        (
            {"explain.methods": [{"use": "gradcam", "layers": "auto"}], "explain.judge.images": 0},
            MetricError,
            "gradcam: layers: auto chooses by measuring",
        ),
        ({"explain.metrics": ["abpc", "abpc"]}, RecipeError, "tell them apart with as: abpc-2"),
    ],
)
def test_what_cannot_be_judged_is_told_before_training(
    tiny: Recipe, out: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(tiny, set=change, out=out)
    for folder in out.glob("*/*"):
        assert "fit" not in json.loads((folder / "run.json").read_text())["stages"]


def test_without_images_to_judge_on_nothing_is_judged(tiny: Recipe, out: Path) -> None:
    done = run(tiny, set={"explain.judge.images": 0, "train.epochs": 1}, out=out)
    assert not (done.folder / "verdicts.json").exists()
    assert "judge" not in done.journal["stages"]
    assert "choose" not in done.journal["stages"]


def test_a_metric_that_raises_is_named_and_loses_nothing_else(
    tiny: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import xaitool_metrics.sanity

    def broken(*_arguments: Any, **_named: Any) -> Any:
        return 1 / 0

    monkeypatch.setattr(xaitool_metrics.sanity, "spearman", broken)
    blame = r"plugin metrics \(xaitool .*\) failed in judge: .*division by zero \(ZeroDivisionError in .*; all the rest"
    with pytest.raises(PluginError, match=blame):
        run(tiny, set={"train.epochs": 1}, out=out)
    (folder,) = out.glob("*/*")
    done = Run(folder)
    assert done.report.is_file()
    assert done.maps("gradcam").shape[0] == len(done.explained)


def test_two_metrics_of_a_kind_have_labels(tiny: Recipe, out: Path) -> None:
    metrics = ["abpc", {"use": "abpc", "as": "abpc-mean", "baseline": "mean"}]
    done = run(tiny, set={"explain.metrics": metrics, "train.epochs": 1, "explain.methods": ["gradcam"]}, out=out)
    first, second = verdicts(done)["gradcam"]["scores"]
    assert (first["metric"], second["metric"]) == ("abpc", "abpc-mean")
    assert first["mean"] != second["mean"]
