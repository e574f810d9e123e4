"""From intervals to words."""

from __future__ import annotations

import math

import pytest

from xaitool.judge.intervals import Interval
from xaitool.judge.verdict import Comparison, Verdict, of_faithfulness, of_model, of_object


def about(mean: float, half: float = 0.01, n: int = 100) -> Interval:
    return Interval(mean, mean - half, mean + half, n, half * math.sqrt(n) / 2)


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
            "image-specific, but edges does as well",
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
    assert of_faithfulness(against("dealt", 0.5, half=0.01, n=19), []).needed == 20
    nothing = Interval(math.nan, math.nan, math.nan, 0, math.nan)
    assert of_faithfulness(Comparison("dealt", nothing, nothing), []).faithfulness == "too few images"


@pytest.mark.parametrize(
    ("correlation", "word"),
    [
        (about(0.1), "about the model"),
        (about(0.485), "about the model"),
        (about(0.495), "ignores the weights"),
        (about(1.0, 0.0), "ignores the weights"),
        (about(0.1, n=19), None),
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
    with pytest.raises(ValueError, match="unknown requirement"):
        weak.meets("beautiful")
