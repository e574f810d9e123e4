"""The end of a run in short: what it says for people, and what it gives to scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xaitool.judge.intervals import Interval
from xaitool.judge.shortcut import Effect, Finding, Pair, Pointing
from xaitool.results import Run
from xaitool.summary import Confusion, Summary, WorstClass

CONTROLS = {
    "its own maps of other images": 0.3,
    "a random smooth map": 0.5,
    "a centred Gaussian": 0.2,
    "a Sobel edge map": 0.6,
    "its own mean map": 0.4,
}
NOT_JUDGED = {
    **{"words": "not judged", "faithfulness": None, "rival": None, "model": None, "object": None},
    "coverage": None,
}
WIDTHS = pytest.mark.parametrize("width", [60, 80])


def judged(faithfulness: str = "faithful", words: str = "", leads: dict[str, float] = CONTROLS, **more: Any) -> Any:
    """A record of verdicts.json."""
    score = {"metric": "abpc", "aspect": "faithfulness", "mean": 0.5, "low": 0.45, "high": 0.55, "n": 100}
    controls = [
        {
            **{"name": name, "mean": 0.5 - lead, "low": 0.0, "high": 1.0, "n": 100},
            "difference": {"mean": lead, "low": lead - 0.05, "high": lead + 0.05, "n": 100},
            **{"measured": True, "margin": 0.0},
        }
        for name, lead in leads.items()
    ]
    record = {"words": words or faithfulness, "faithfulness": faithfulness, "rival": None, "model": "about the model"}
    judged = {"object": None, "scores": [score], "controls": controls, "layers": None, "coverage": None}
    return {**record, **judged, **more}


def figures(confusion: list[list[int]], names: list[str]) -> Any:
    """metrics.json for a confusion matrix."""
    images = sum(map(sum, confusion))
    right = sum(row[place] for place, row in enumerate(confusion))
    per_class = {
        name: {"recall": row[place] / max(sum(row), 1), "precision": 0.5, "images": sum(row)}
        for place, (name, row) in enumerate(zip(names, confusion, strict=True))
    }
    counted = {"accuracy": right / images, "images": images, "misclassified": images - right}
    calibration = {"ece": 0.02, "confidence": right / images, "bins": []}
    return {**counted, "loss": 0.1, "per_class": per_class, "confusion": confusion, "calibration": calibration}


PETS = figures([[8, 2, 0], [5, 5, 0], [0, 1, 9]], ["cat", "dog", "eel"])


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Makes a run's folder of the files given, and sums it up."""

    def make(
        metrics: Any = PETS, *, state: str = "finished", stages: Any = None, trained: float = 0.75, **files: Any
    ) -> Summary:
        folder = tmp_path / "runs/pets/one"
        folder.mkdir(parents=True, exist_ok=True)
        stages = {"data": {"seconds": 1.5}, "fit": {"seconds": 60.0}, **(stages or {})}
        journal = {"name": "pets", "state": state, "stage": None, "error": None, "stages": stages, "done": [*stages]}
        for name, content in {"run": journal, "metrics": metrics, **files}.items():
            if content is not None:
                (folder / f"{name}.json").write_text(json.dumps(content))
        epoch = {"train_accuracy": trained, "test_accuracy": 0.7}
        (folder / "history.jsonl").write_text(json.dumps(epoch) + "\n")
        (folder / "report.html").write_text("<html>")
        return Summary.of(Run(folder))

    return make


def test_it_is_one_compact_block(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "image-specific, but a centred Gaussian does better (by 0.100); about the model; finds the object"
    lime = judged("image-specific", words, {**CONTROLS, "a centred Gaussian": -0.1}, rival="a centred Gaussian")
    assert made(verdicts={"gradcam": judged(words="faithful; about the model"), "lime": lime}).lines() == [
        "pets: finished in 1 min 2 s",
        "",
        "accuracy       73.33% of 30 test images (95% interval 55.6 to 85.8%)",
        "chance         33.3%, by always naming one class",
        "mistakes       8, most often dog taken for cat (5 times)",
        "worst classes  dog 50.0% recall, cat 80.0%, eel 90.0%",
        "",
        "explainer      verdict",
        "gradcam        faithful; about the model",
        "lime           image-specific, but a centred Gaussian does better (by 0.100);",
        "               about the model; finds the object",
        "",
        "explainer        abpc      95% interval    n  hardest to beat     ahead by",
        "gradcam        +0.500  +0.450 to +0.550  100  a centred Gaussian    +0.200",
        "lime           +0.500  +0.450 to +0.550  100  a centred Gaussian    -0.100",
        "",
        "findings       - lime is not faithful: a centred Gaussian does better",
        "",
        "report         runs/pets/one/report.html",
    ]


def test_scripts_get_the_same_by_documented_names(made: Any, tmp_path: Path) -> None:
    told = made(verdicts={"gradcam": judged()}).as_dict()
    folder = tmp_path / "runs/pets/one"
    assert told == {
        "version": 1,
        "name": "pets",
        "folder": str(folder),
        "report": str(folder / "report.html"),
        "state": "finished",
        "error": None,
        "seconds": 61.5,
        "accuracy": 22 / 30,
        "accuracy_low": pytest.approx(0.5555, abs=1e-4),
        "accuracy_high": pytest.approx(0.8582, abs=1e-4),
        "chance": 1 / 3,
        "images": 30,
        "misclassified": 8,
        "worst_classes": [
            {"name": "dog", "recall": 0.5, "images": 10},
            {"name": "cat", "recall": 0.8, "images": 10},
            {"name": "eel", "recall": 0.9, "images": 10},
        ],
        "commonest_confusion": {"true": "dog", "predicted": "cat", "count": 5, "tied": 0},
        "verdicts": {
            "gradcam": {
                "words": "faithful",
                "faithfulness": "faithful",
                "model": "about the model",
                "object": None,
                "metric": "abpc",
                "score": 0.5,
                "low": 0.45,
                "high": 0.55,
                "n": 100,
                "hardest_to_beat": "a centred Gaussian",
                "lead": 0.2,
            }
        },
        "findings": [],
    }
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_of_confusions_that_are_as_common_none_is_the_commonest(made: Any) -> None:
    summary = made(figures([[2, 1, 1], [1, 1, 1], [1, 1, 1]], ["cat", "dog", "eel"]))
    assert summary.commonest_confusion == Confusion("cat", "dog", 1, tied=5)
    assert "mistakes       6, most often cat taken for dog (1 time, as are 5 other pairs)" in summary.lines()
    two = made(figures([[2, 3], [3, 2]], ["cat", "dog"])).commonest_confusion
    assert two is not None
    assert two.times() == "3 times, as is 1 other pair"


def test_nearly_all_is_not_all(made: Any) -> None:
    line = made(figures([[99_999, 1], [0, 100_000]], ["cat", "dog"])).lines()[2]
    assert line == "accuracy       99.999% of 200,000 test images (95% interval 99.997 to 99.9999%)"


def test_only_the_three_worst_of_the_classes_that_were_tested_are_named(made: Any) -> None:
    confusion = [[9, 1, 0, 0, 0], [2, 8, 0, 0, 0], [3, 0, 7, 0, 0], [0, 0, 0, 10, 0], [0, 0, 0, 0, 0]]
    summary = made(figures(confusion, ["a", "b", "c", "d", "untested"]))
    assert summary.worst_classes == (WorstClass("c", 0.7, 10), WorstClass("b", 0.8, 10), WorstClass("a", 0.9, 10))
    assert summary.commonest_confusion == Confusion("c", "a", 3)


def test_a_model_without_mistakes_has_no_worst_classes_to_show(made: Any) -> None:
    summary = made(figures([[3, 0], [0, 4]], ["cat", "dog"]))
    assert summary.commonest_confusion is None
    assert summary.as_dict()["misclassified"] == 0
    assert summary.lines()[2:4] == [
        "accuracy       100.00% of 7 test images (95% interval 64.6 to 100.0%)",
        "chance         57.1%, by always naming one class",
    ]


def test_a_single_class_is_not_the_worst(made: Any) -> None:
    summary = made(figures([[3]], ["cat"]))
    assert summary.worst_classes == (WorstClass("cat", 1.0, 3),)
    assert summary.lines()[2] == "accuracy       100.00% of 3 test images (95% interval 43.9 to 100.0%)"


def test_without_verdicts_there_is_no_table(made: Any) -> None:
    assert made().as_dict()["verdicts"] == {}
    assert not any("explainer" in line for line in made().lines())


def test_an_explainer_that_was_compared_with_nothing_has_words_only(made: Any) -> None:
    nothing = {**NOT_JUDGED, "scores": [], "controls": [], "layers": None}
    summary = made(verdicts={"lime": nothing, "gradcam": judged()})
    assert summary.as_dict()["verdicts"]["lime"]["score"] is None
    assert [line.split()[:2] for line in summary.lines() if line.startswith(("lime", "gradcam"))] == [
        ["lime", "not"],
        ["gradcam", "faithful"],
        ["gradcam", "+0.500"],
    ]
    assert "hardest to beat" not in "\n".join(made(verdicts={"lime": nothing}).lines())


def test_figures_that_are_missing_are_null_for_scripts_and_a_dash_for_people(made: Any) -> None:
    nan = float("nan")
    empty = {"metric": "abpc", "aspect": "faithfulness", "mean": nan, "low": None, "high": nan, "n": 0}
    record = judged("too few images", leads=dict.fromkeys(CONTROLS, nan), scores=[empty])
    summary = made(verdicts={"lime": record})
    told = json.loads(json.dumps(summary.as_dict(), allow_nan=False))["verdicts"]["lime"]
    assert (told["score"], told["low"], told["high"], told["lead"]) == (None, None, None, None)
    (row,) = (line for line in summary.lines() if line.startswith("lime  ") and "–" in line)
    assert row.split() == ["lime", "–", "–", "0", "maps", "of", "other", "images", "–"]
    assert made({**PETS, "accuracy": nan}).as_dict()["accuracy"] is None


def test_a_control_with_too_few_scores_is_not_the_hardest_to_beat(made: Any) -> None:
    record = judged()
    few = {"name": "few", "difference": {"mean": -9.0, "n": 12}, "measured": False}
    nan = {"name": "none", "difference": {"mean": None, "n": 100}, "measured": True}
    record["controls"] = [few, nan, *record["controls"]]
    assert made(verdicts={"x": record}).verdicts["x"].hardest_to_beat == "a centred Gaussian"


@WIDTHS
def test_nothing_goes_beyond_the_last_column(made: Any, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"a class with an endless name, number {number} " * 3 for number in range(3)]
    labels = [f"integrated-gradients-with-a-very-long-label-{number}" for number in range(3)]
    words = "image-specific (on 24 of 60 images; 36 of 60 are constant), but its own maps of other images do as well"
    records = {label: judged("image-specific", words, rival="a centred Gaussian") for label in labels}
    for record in records.values():
        record["scores"][0] |= {"metric": "a_metric_of_many_words", "mean": -123456.7, "low": 1e9, "n": 10_000}
        record["controls"][0]["difference"]["mean"] = -1e12
        record["layers"] = {"used": "blocks.11.attention.norm_one", "better": "blocks.10.attention.norm_one"}
    summary = made(
        figures([[1, 200, 3], [4, 5, 6], [7, 8, 9]], names),
        verdicts=records,
        stages={"judge": {"failed": {"smooth" * 20: "it failed"}}},
    )
    monkeypatch.chdir(summary.folder)
    lines = summary.lines(width)
    assert max(map(len, lines)) <= width
    assert not any("\xa0" in line or line != line.rstrip() for line in lines)
    table = lines[[line.startswith("explainer") for line in lines].index(True) + 1 :]
    rows = [line.split()[0] for line in table if "-1.2e+05" in line]
    assert len(set(rows)) == 3  # still to be told apart


@WIDTHS
def test_the_usual_names_are_told_in_full(made: Any, width: int) -> None:
    lines = made(verdicts={name: judged() for name in ("gradcam", "gradcam-layer3", "gradcam++")}).lines(width)
    assert max(len(line) for line in lines if not line.startswith("report")) <= width
    assert sum(line.startswith("gradcam-layer3 ") for line in lines) == 2
    assert any("95% interval    n" in line for line in lines) is (width == 80)


def test_a_path_is_never_broken(made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    summary = made()
    assert summary.lines(60)[-1] == f"report         {summary.folder}/report.html"


@pytest.mark.parametrize(
    ("record", "finding"),
    [
        (judged("says nothing"), "x is not faithful: maps of other images do as well"),
        (
            judged("image-specific", leads={"a Sobel edge map": -0.1}, rival="a Sobel edge map"),
            "x is not faithful: a Sobel edge map does better",
        ),
        (
            judged("image-specific", leads={"a Sobel edge map": 0.006}, rival="a Sobel edge map"),
            "x is not faithful: not clearly better than a Sobel edge map",
        ),
        (
            judged(coverage={"scored": 40, "images": 100, "part": 0.4, "left_out": {"constant map": 60}}),
            "x is faithful on 40 of 100 images only",
        ),
        (judged("too few images"), "x is not judged on enough maps to tell"),
        (
            judged(model="ignores the weights"),
            "x ignores the model's weights: with random ones the maps stay much the same, so they do not explain the "
            "model",
        ),
        (judged(layers={"used": "l4", "better": "l3"}), "x looks at l4; l3 would be clearly more faithful"),
    ],
)
def test_what_speaks_against_an_explainer_is_a_finding(made: Any, record: Any, finding: str) -> None:
    (found,) = made(verdicts={"x": record, "fine": judged()}).findings
    assert found.startswith(finding)


def test_their_own_is_said_of_several(made: Any) -> None:
    one = judged("image-specific", leads={"its own mean map": -0.1}, rival="its own mean map")
    assert made(verdicts={"a": one}).findings == ("a is not faithful: its own mean map does better",)
    assert made(verdicts={"a": one, "b": one}).findings == ("a and b are not faithful: their own mean map does better",)


def test_explainers_of_one_fault_share_a_finding(made: Any) -> None:
    unsound = judged("says nothing", model="ignores the weights")
    assert made(verdicts=dict.fromkeys("abc", unsound)).findings == (
        "a, b and c are not faithful: maps of other images do as well",
        "a, b and c ignore the model's weights: with random ones the maps stay much the same, so they do not explain "
        "the model",
    )


def test_an_explainer_that_failed_is_a_finding(made: Any) -> None:
    stages = {"explain": {"failed": {"lime": "it broke"}}, "judge": {"failed": {"rise": "it broke too"}}}
    assert made(stages=stages).findings == ("lime gave no maps", "rise was not judged")


TAKES = (
    "the model uses the planted shortcut to “dog”: it takes 93% of the images of other classes for one when they have "
    "the patch, 2% when they have not"
)


def planted(own: Pair, taken: Pair, rise: float, gain: float, showing: Sequence[str] = ()) -> dict[str, Any]:
    """shortcut.json of a patch that does as much."""

    def around(mean: float) -> Interval:
        return Interval(mean, mean - 0.02, mean + 0.02, 100, 0.1)

    effect = Effect(Pair(0.5, 0.5), own, Pair(0.5, 0.5), taken, around(rise), around(gain))
    pointing = {name: Pointing(around(0.5), 0.1, around(5.0 if name in showing else 1.0)) for name in "ab"}
    return Finding("dog", 1.0, effect, pointing).as_dict()


def test_a_shortcut_is_told_by_what_it_does(made: Any) -> None:
    needed = planted(Pair(0.5, 0.95), Pair(0.1, 0.1), rise=0.0, gain=0.45)
    assert made(shortcut=needed).findings == (
        "the model uses the planted shortcut to “dog”: it recognises 95% of the class's own images when they have the "
        "patch, 50% when they have not; no maps show it",
    )
    both = planted(Pair(0.5, 0.95), Pair(0.015, 0.93), rise=0.915, gain=0.45, showing="b")
    assert made(shortcut=both).findings == (
        f"{TAKES} and it recognises 95% of the class's own images when they have the patch, 50% when they have not; b "
        "shows it",
    )


@pytest.mark.parametrize(
    ("cheats", "showing", "finding"),
    [
        (True, ["a", "b"], f"{TAKES}; a and b show it"),
        (True, ["b"], f"{TAKES}; b shows it"),
        (True, [], f"{TAKES}; no maps show it"),
        (False, ["a"], "the model does not use the planted shortcut to “dog”"),
        (None, [], "whether the model uses the planted shortcut to “dog” cannot be told from these images"),
    ],
)
def test_a_planted_shortcut_comes_first(made: Any, cheats: bool | None, showing: list[str], finding: str) -> None:
    taken = {True: 0.93, False: 0.015, None: 0.06}[cheats]
    shortcut = planted(Pair(0.5, 0.5), Pair(0.015, taken), rise=taken - 0.015, gain=0.0, showing=showing)
    assert made(verdicts={"a": judged("too few images")}, shortcut=shortcut).findings[0] == finding


def test_a_model_that_knows_its_training_images_by_heart_is_a_finding(made: Any) -> None:
    assert made(trained=0.79).findings == ()
    assert made(trained=0.95).findings == (
        "the model overfits: it gets 95.0% of the training images right, but 70.0% of the test images",
    )


@pytest.mark.parametrize(("confidence", "word"), [(0.9, "more"), (0.5, "less")])
def test_confidences_that_mislead_are_a_finding(made: Any, confidence: float, word: str) -> None:
    metrics = {**PETS, "calibration": {"ece": 0.17, "confidence": confidence, "bins": []}}
    assert made(metrics).findings == (
        f"the model is {word} sure than right: its mean confidence is {confidence:.1%}, its accuracy 73.3%",
    )


def test_confidences_that_mislead_both_ways_are_told_as_that(made: Any) -> None:
    metrics = {**PETS, "calibration": {"ece": 0.17, "confidence": 22 / 30, "bins": []}}
    assert made(metrics).findings == (
        "the model is too sure of some images and not sure enough of others: its mean confidence is 73.3%, its "
        "accuracy 73.3%, but its calibration error 17.0%",
    )


def test_a_model_that_guesses_is_a_finding(made: Any) -> None:
    (found,) = made(figures([[3, 7, 0], [2, 8, 0], [4, 6, 0]], ["cat", "dog", "eel"])).findings
    assert found == (
        "the model is not clearly better than always naming one and the same class, which is right about 33.3% of the "
        "test images: its accuracy is 36.7% (21.9–54.5), with its 95% interval, and the explanations of a model that "
        "guesses explain nothing"
    )
    (found,) = made(figures([[0, 4], [0, 16]], ["cat", "dog"])).findings
    assert found.startswith("the model is not clearly better than always naming “dog”, which is right about 80.0% of ")
    (only,) = made(figures([[1]], ["cat"])).findings
    assert "which is right about 100.0% of the test images: its accuracy is 100.0% (20.7–100.0)" in only


@pytest.mark.parametrize(("suspect", "said"), [(0, False), (1, True)])
def test_labels_that_may_be_wrong_are_a_finding(made: Any, suspect: int, said: bool) -> None:
    found = made(triage={"label_noise": {"suspect": suspect}}).findings
    assert found == (("1 of the 8 mistakes may be the label's (a guess)",) if said else ())


@pytest.mark.parametrize(
    ("state", "seconds", "head"),
    [
        ("failed", 3, "pets: failed after 1 min 4 s"),
        ("interrupted", 3600, "pets: interrupted after 1 h 1 min"),
        ("running", 0, "pets: running for 1 min 2 s"),
    ],
)
def test_how_it_ended_stands_at_the_head(made: Any, state: str, seconds: float, head: str) -> None:
    stages = {"evaluate": {"seconds": seconds}, "judge": {}}  # that the run ended in has no seconds yet
    assert made(state=state, stages=stages).lines()[0] == head


def test_a_run_that_failed_early_has_nothing_but_its_folder(made: Any, tmp_path: Path) -> None:
    made()
    folder = tmp_path / "runs/pets/one"
    for name in ("metrics.json", "report.html"):
        (folder / name).unlink()
    summary = Summary.of(Run(folder))
    told = summary.as_dict()
    assert (told["accuracy"], told["images"], told["report"], told["worst_classes"]) == (None, None, None, [])
    assert summary.lines() == ["pets: finished in 1 min 2 s", "", f"folder         {folder}"]


def test_neither_torch_nor_matplotlib_is_needed(made: Any) -> None:
    folder = made(verdicts={"gradcam": judged()}).folder
    program = (
        "import sys; from xaitool.results import Run; from xaitool.summary import Summary; "
        f"found = Summary.of(Run({str(folder)!r})); found.lines(), found.as_dict(); "
        "print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
