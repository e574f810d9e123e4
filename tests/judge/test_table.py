"""The verdicts in the terminal: words first, then one table that fits."""

from __future__ import annotations

import numpy as np
import pytest

from xaitool.judge import Judgement, Measure, Verdict
from xaitool.judge.intervals import Interval
from xaitool.judge.table import verdict_table
from xaitool.judge.verdict import Comparison, of_faithfulness

NAMES = (
    "its own maps of other images",
    "a random smooth map",
    "a centred Gaussian",
    "a Sobel edge map",
    "its own mean map",
)


def around(mean: float, n: int = 60) -> Interval:
    return Interval(mean, mean - 0.05, mean + 0.05, n, 0.2)


def judgement(own: float, controls: list[float], n: int = 60, **more: str) -> Judgement:
    """Of an explainer whose ABPC is `own`, and whose controls have theirs."""
    no_values = np.empty(0)
    score = around(own, n)
    measure = Measure("abpc", "faithfulness", "higher", (-1, 1), score, None, {}, no_values, no_values, {})
    compared = tuple(
        Comparison(name, around(control, n), around(own - control, n))
        for name, control in zip(NAMES, controls, strict=True)
    )
    verdict = of_faithfulness(compared[0], compared[1:])
    return Judgement("x", Verdict(verdict.faithfulness, verdict.rival, verdict.needed, **more), (measure,), compared)


FAITHFUL = judgement(0.4, [0.1, 0.0, 0.2, 0.1, 0.3])
SPECIFIC = judgement(0.4, [0.1, 0.0, 0.5, 0.1, 0.3], model="about the model", object="does not find the object")


def test_every_verdict_comes_first_and_then_one_table():
    lines = verdict_table({"gradcam": FAITHFUL, "lime": SPECIFIC})
    assert lines == [
        "verdict: gradcam: faithful",
        "verdict: lime: image-specific, but a centred Gaussian does better (by 0.100);",
        "  about the model; does not find the object",
        "             abpc  95 % interval      n  hardest to beat     ahead by",
        "  gradcam  +0.400  +0.350 to +0.450  60  mean map              +0.100",
        "  lime     +0.400  +0.350 to +0.450  60  a centred Gaussian    -0.100",
    ]


@pytest.mark.parametrize("count", [1, 10])
def test_it_fits_into_eighty_columns(count):
    dealt = judgement(0.1, [0.1, -0.1, -0.2, -0.1, -0.3], n=9999)
    lines = verdict_table({f"layer_cam_{number:02}": (SPECIFIC, dealt)[number % 2] for number in range(count)})
    assert max(map(len, lines)) <= 80


def test_a_long_name_is_told_in_full():
    name = "an explainer whose name alone is longer than a terminal is wide " * 2
    assert name.split()[-1] in " ".join(verdict_table({name: FAITHFUL}))
    assert any(line.startswith(f"  {name}") for line in verdict_table({name: FAITHFUL}))


def test_without_a_metric_of_faithfulness_there_are_words_only():
    assert verdict_table({"gradcam": Judgement("gradcam", Verdict(None), ())}) == ["verdict: gradcam: not judged"]


def test_nothing_judged_is_nothing_said():
    assert verdict_table({}) == []


def test_one_that_could_not_be_compared_does_not_hide_the_others():
    lines = verdict_table({"lime": Judgement("lime", Verdict(None), ()), "gradcam": FAITHFUL})
    assert [line.split()[0] for line in lines] == ["verdict:", "verdict:", "abpc", "gradcam"]


def test_a_control_without_scores_is_not_the_hardest_to_beat():
    few = FAITHFUL.controls[0]
    unmeasured = Comparison("few", few.control, around(-0.5, n=12), few.margin)
    found = Judgement("x", FAITHFUL.verdict, FAITHFUL.measures, (*FAITHFUL.controls, unmeasured))
    assert "mean map" in verdict_table({"gradcam": found})[-1]


def test_scores_that_are_missing_are_shown_as_missing():
    nan = float("nan")
    lines = verdict_table({"lime": judgement(nan, [nan] * 5, n=0)})
    assert lines[0] == "verdict: lime: too few images (it takes 30 at least)"
    assert "+nan" not in lines[-1]
    assert lines[-1].split()[:4] == ["lime", "–", "–", "0"]
