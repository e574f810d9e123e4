"""From intervals to words."""

from __future__ import annotations

import math

import pytest

from xaitool.judge.intervals import Interval
from xaitool.judge.verdict import Comparison, Coverage, Verdict, of_faithfulness, of_model, of_object


def about(mean: float, half: float = 0.01, n: int = 100) -> Interval:
    return Interval(mean, mean - half, mean + half, n, half * math.sqrt(n) / 2)


NOTHING = Interval(math.nan, math.nan, math.nan, 0, math.nan)


def against(name: str, difference: float, half: float = 0.01, n: int = 100) -> Comparison:
    return Comparison(name, about(0.1, n=n), about(difference, half, n))


@pytest.mark.parametrize(
    ("null", "others", "word", "words"),
    [
        (against("dealt", 0.05), [against("edges", 0.03)], "faithful", "faithful"),
        (against("dealt", 0.05), [], "faithful", "faithful"),
        (against("dealt", 0.005), [against("edges", 0.03)], "says nothing", "says nothing"),
        (against("dealt", -0.05), [against("edges", 0.03)], "says nothing", "says nothing"),
        (
            against("dealt", 0.05),
            [against("edges", 0.03), against("a centred Gaussian", -0.066)],
            "image-specific",
            "image-specific, but a centred Gaussian does better (by 0.066)",
        ),
        (
            against("dealt", 0.05),
            [against("edges", 0.005), against("mean", 0.008)],
            "image-specific",
            "image-specific, but not clearly better than edges (ahead by 0.005)",
        ),
        (
            against("dealt", 0.05),
            [against("edges", -0.004)],
            "image-specific",
            "image-specific, but not clearly better than edges (behind by 0.004)",
        ),
        (
            against("dealt", 0.05),
            [against("edges", -0.0004)],
            "image-specific",
            "image-specific, but not clearly better than edges (ahead by 0.000)",
        ),
    ],
)
def test_the_verdict_on_faithfulness(null: Comparison, others: list[Comparison], word: str, words: str) -> None:
    verdict = of_faithfulness(null, others)
    assert verdict.faithfulness == word
    assert verdict.words() == words


def test_too_few_images_is_a_verdict_and_says_how_many_it_would_take() -> None:
    verdict = of_faithfulness(against("dealt", 0.01, half=0.05, n=12), [])
    spread = 0.05 * math.sqrt(12) / 2
    assert verdict.faithfulness == "too few images"
    assert verdict.needed == math.ceil((2.8 * spread / 0.01) ** 2)
    assert verdict.words() == f"too few images (it would take about {verdict.needed})"
    assert of_faithfulness(against("dealt", 0.5, half=0.01, n=29), []).needed == 30
    assert of_faithfulness(against("dealt", 0.5, half=0.01, n=30), []).faithfulness == "faithful"
    assert of_faithfulness(Comparison("dealt", NOTHING, NOTHING), []).words() == "too few images (it takes 30 at least)"


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (-0.05, "too few images (it takes 30 at least)"),
        (0.009, "too few images (it takes 30 at least)"),
        (0.011, "too few images (it would take more than 10,000)"),
        (0.5, "too few images (it would take about 123)"),
    ],
)
def test_how_many_it_would_take_is_told_for_a_difference_worth_telling(difference: float, words: str) -> None:
    spread = Interval(difference, difference - 1, difference + 1, 12, 1.975)
    assert of_faithfulness(Comparison("dealt", about(0.1), spread, margin=0.01), []).words() == words


def test_where_the_maps_are_what_is_missing_more_images_would_not_help() -> None:
    constant = Coverage(0, 60, {"constant map": 50, "non-finite map": 10})
    verdict = of_faithfulness(Comparison("dealt", NOTHING, NOTHING), [], constant)
    assert (verdict.faithfulness, verdict.needed) == ("too few images", None)
    assert verdict.words() == "too few usable maps (50 of 60 are constant, 10 of 60 are non-finite)"
    some = of_faithfulness(against("dealt", 0.5, n=25), [], Coverage(25, 40, {"constant map": 15}))
    assert some.needed == 48  # of which 30 have a score


def test_what_is_said_of_few_images_does_not_pass_for_all() -> None:
    few = of_faithfulness(against("dealt", 0.5, n=47), [], Coverage(47, 60, {"constant map": 13}))
    assert few.words() == "faithful (on 47 of 60 images; 13 of 60 are constant)"
    assert not few.meets("faithful")
    most = of_faithfulness(against("dealt", 0.5, n=48), [], Coverage(48, 60, {"constant map": 12}))
    assert most.words() == "faithful"
    assert most.meets("faithful")


def test_a_control_without_scores_is_no_rival() -> None:
    unmeasured = Comparison("mean", NOTHING, NOTHING)
    assert not unmeasured.measured
    assert of_faithfulness(against("dealt", 0.5), [unmeasured, against("edges", 0.3)]).words() == "faithful"
    assert of_faithfulness(against("dealt", 0.5), [against("mean", -0.3, n=29)]).words() == "faithful"
    assert of_object(against("chance", 0.2), [unmeasured]) == "finds the object"


@pytest.mark.parametrize(
    ("correlation", "word"),
    [
        (about(0.1), "about the model"),
        (about(0.485), "about the model"),
        (about(0.495), None),
        (about(0.505), None),
        (about(0.515), "ignores the weights"),
        (about(1.0, 0.0), "ignores the weights"),
        (about(0.1, n=29), None),
        (about(1.0, n=29), None),
    ],
)
def test_the_verdict_on_the_weights(correlation: Interval, word: str | None) -> None:
    assert of_model(correlation) == word


def test_the_object_is_found_only_better_than_chance_and_than_every_control() -> None:
    chance, dealt = against("chance", 0.2), against("dealt", 0.1)
    assert of_object(chance, [dealt]) == "finds the object"
    assert of_object(chance, [dealt, against("edges", 0.005)]) == "does not find the object"
    assert of_object(against("chance", 0.0), [dealt]) == "does not find the object"
    assert of_object(against("chance", 0.2, n=10), [dealt]) is None


def test_words_and_requirements() -> None:
    verdict = Verdict("faithful", model="about the model", object="finds the object")
    assert verdict.words() == "faithful; about the model; finds the object"
    assert all(map(verdict.meets, ("image_specific", "faithful", "about_the_model", "finds_the_object")))
    weak = Verdict("image-specific", model="ignores the weights", object="does not find the object")
    assert weak.meets("image_specific")
    assert not any(map(weak.meets, ("faithful", "about_the_model", "finds_the_object")))
    assert not any(map(Verdict("says nothing").meets, ("image_specific", "faithful", "about_the_model")))
    assert not Verdict("too few images").meets("image_specific")
    assert Verdict(None).words() == "not judged"
    both = Verdict("faithful", model="ignores the weights", object="finds the object")
    assert both.words() == "faithful, but ignores the weights; finds the object"
    with pytest.raises(ValueError, match="unknown requirement"):
        weak.meets("beautiful")
