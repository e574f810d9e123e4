"""The guess at wrong labels, where it is known which are wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xaitool.triage.label_noise import MOST, NOT_SUSPECT, Trial, suspects, trial

CLASSES, IMAGES = 10, 4000


def predictor(skill: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Calibrated probabilities of 10 classes, and the true classes drawn from them; more skill is surer and righter."""
    source = torch.Generator().manual_seed(seed)
    scores = torch.randn(IMAGES, CLASSES, generator=source)
    scores[torch.arange(IMAGES), torch.randint(CLASSES, (IMAGES,), generator=source)] += skill
    probabilities = (2 * scores).softmax(1)
    return probabilities, torch.multinomial(probabilities, 1, generator=source)[:, 0]


def flipped(labels: Tensor, part: float) -> tuple[Tensor, Tensor]:
    """Labels of which a part is wrong, and which: N bool."""
    source = torch.Generator().manual_seed(7)
    wrong = torch.rand(len(labels), generator=source) < part
    others = (labels + torch.randint(1, CLASSES, labels.shape, generator=source)) % CLASSES
    return torch.where(wrong, others, labels), wrong


def test_five_percent_of_wrong_labels_are_found_by_a_good_predictor() -> None:
    probabilities, truth = predictor(skill=5.0)
    accuracy = float((probabilities.argmax(1) == truth).double().mean())
    assert 0.97 < accuracy < 0.995
    labels, wrong = flipped(truth, 0.05)
    guess, _ = suspects(probabilities, labels, most=0.1)
    flagged = guess != NOT_SUSPECT
    precision, recall = float(wrong[flagged].double().mean()), float(flagged[wrong].double().mean())
    assert precision > 0.8
    assert recall > 0.9
    right = (guess == truth)[flagged & wrong]
    assert float(right.double().mean()) > 0.95


def test_a_poor_predictor_knows_less_and_its_trial_says_so() -> None:
    good, poor = (trial(*predictor(skill), seed=0) for skill in (5.0, 1.5))
    assert good is not None
    assert poor is not None
    assert good.found > 0.8
    assert good.precision > 0.8
    assert good.flagged_otherwise < 0.002
    assert poor.found < 0.5
    assert poor.precision < 0.5
    assert poor.flagged_otherwise > 0.005


def test_no_more_labels_are_suspected_than_stated() -> None:
    probabilities, labels = predictor(skill=1.5)
    guess, by = suspects(probabilities, labels)
    flagged = guess != NOT_SUSPECT
    assert int(flagged.sum()) == MOST * IMAGES == 40  # a poor predictor would suspect many more
    every = suspects(probabilities, labels, most=1)[0] != NOT_SUSPECT
    assert int(every.sum()) > 15 * MOST * IMAGES
    assert bool(every[flagged].all())
    assert torch.equal(by.isnan(), ~flagged)
    own = probabilities.gather(1, labels[:, None])[:, 0]
    assert torch.equal(by[flagged], (probabilities.gather(1, guess.clamp(min=0)[:, None])[:, 0] - own)[flagged])
    lead = probabilities.amax(1) - probabilities.gather(1, labels[:, None])[:, 0]
    assert float(lead[flagged].min()) >= float(lead[every & ~flagged].max()) - 1e-6


def test_thresholds_are_each_classs_own() -> None:
    """By hand: class 1 gets 0.4 on its own images, and 0.45 on an image labelled 0 reaches that."""
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.6, 0.4], [0.6, 0.4]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    # Thresholds: (0.9 + 0.9 + 0.55) / 3 = 0.783 and 0.4. The last two reach their own; the third only class 1's.
    assert suspects(probabilities, labels, most=1)[0].tolist() == [
        NOT_SUSPECT,
        NOT_SUSPECT,
        1,
        NOT_SUSPECT,
        NOT_SUSPECT,
    ]


def test_of_several_classes_that_reach_their_thresholds_the_most_probable_counts() -> None:
    probabilities = torch.tensor([[0.1, 0.4, 0.5], [0.6, 0.2, 0.2], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])
    assert int(suspects(probabilities, torch.tensor([0, 0, 1, 2]), most=1)[0][0]) == 2


def test_a_class_without_images_is_never_guessed() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.7]] * 4)
    assert suspects(probabilities, torch.tensor([0, 0, 1, 1]), most=1)[0].max() < 2


@pytest.mark.parametrize("ties", [2, 20])
def test_ties_at_the_cut_are_dropped_whatever_the_order(ties: int) -> None:
    probabilities = torch.tensor([[0.9, 0.1]] * 20 + [[0.05, 0.95]] * ties + [[0.1, 0.9]] * 20)
    labels = torch.tensor([0] * (20 + ties) + [1] * 20)
    guess, _ = suspects(probabilities, labels, most=2 / len(labels))
    assert int((guess != NOT_SUSPECT).sum()) == (2 if ties == 2 else 0)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    assert torch.equal(suspects(probabilities[order], labels[order], most=2 / len(labels))[0], guess[order])


def test_too_few_labels_for_a_trial() -> None:
    assert trial(torch.full((99, 2), 0.5), torch.zeros(99, dtype=torch.int64), seed=0) is None
    assert trial(torch.full((100, 2), 0.5), torch.zeros(100, dtype=torch.int64), seed=0) is not None


def test_a_trial_falsifies_as_many_labels_as_may_be_suspected() -> None:
    """A perfect predictor finds all of them and no other; one that has no idea finds next to none."""
    labels = torch.arange(1000) % CLASSES
    perfect = trial(torch.nn.functional.one_hot(labels).float() * 0.9 + 0.01, labels, seed=0)
    assert perfect == Trial(found=1.0, flagged_otherwise=0.0, precision=1.0)
    noise = torch.rand(1000, CLASSES, generator=torch.Generator().manual_seed(0)).softmax(1)
    blind = trial(noise, labels, seed=0)
    assert blind is not None
    assert blind.found < 0.1
    assert blind.precision == pytest.approx(blind.found)  # as many are suspected as are false
