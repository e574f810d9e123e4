"""Taking evidence away, and keeping it alone, where it is known what must happen."""

from __future__ import annotations

import math

import pytest
import torch
from planted_mistakes import SIZE, Brightest, Maps, picture, truth
from torch import Tensor

from xaitool import Subject
from xaitool.triage.decisions import DRAWS, NO_MAP, Decisions, Mistakes, decide
from xaitool.triage.evidence import EVIDENCE, blurred, evidence, has_order

MODULE = Brightest().eval()
SUBJECT = Subject(MODULE)


def decided(images: Tensor, true: Tensor, predicted: Tensor, maps: Maps = truth, seed: int = 0) -> Decisions:
    ids = [f"image {row}" for row in range(len(images))]
    one, other = maps(SUBJECT, images, predicted), maps(SUBJECT, images, true)
    with torch.no_grad():
        return decide(MODULE, Mistakes(ids, images, true, one, other, (4, 4)), seed)


def test_without_the_predicted_evidence_and_on_its_own_evidence_the_model_is_right() -> None:
    images, true = torch.stack([picture(q0=3, q2=2)] * 40), torch.full((40,), 2)
    found = decided(images, true, torch.zeros(40, dtype=torch.int64))
    assert found.without.tolist() == [2] * 40
    assert found.alone.tolist() == [2] * 40
    # What is left of a patch of 4×4 under a blur of 4 pixels: less than a quarter of its height.
    logits = torch.tensor([2 * 3 / 4, 0.0, 2 * 2, 0.0])
    assert (found.true_probability_without > logits.softmax(0)[2] - 0.05).all()
    assert found.corrected.mean() == found.right.mean() == 1
    # By chance, a patch of 16 pixels is seldom hit as a whole, or kept while the other one goes.
    assert found.corrected_by_chance.mean() < 0.15
    assert found.right_by_chance.mean() < 0.4


def test_with_evidence_of_a_third_class_the_mistake_becomes_another() -> None:
    found = decided(picture(q0=3, q1=2.5, q2=2)[None], torch.tensor([2]), torch.tensor([0]))
    assert (int(found.without), int(found.alone)) == (1, 2)
    assert (float(found.corrected), float(found.right)) == (0, 1)


def test_an_explainer_that_points_elsewhere_corrects_nothing() -> None:
    def elsewhere(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return -truth(subject, images, targets)

    found = decided(picture(q0=3, q2=2)[None], torch.tensor([2]), torch.tensor([0]), elsewhere)
    assert (int(found.without), float(found.corrected)) == (0, 0)
    assert (int(found.alone), float(found.right)) == (0, 0)


def test_nothing_follows_from_a_constant_map() -> None:
    def silent(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """Has nothing to say about class 2 where class 1 is bright."""
        bright = images[:, 0, 4, 12] > 0
        return torch.where(((targets == 2) & bright)[:, None, None], 0.5, truth(subject, images, targets))

    images = torch.stack([picture(q0=3, q1=1, q2=2), picture(q0=3, q2=2)])
    found = decided(images, torch.tensor([2, 2]), torch.tensor([0, 0]), silent)
    assert found.alone.tolist() == [NO_MAP, 2]
    assert math.isnan(found.right[0])
    assert math.isnan(found.right_by_chance[0])
    assert math.isnan(found.true_probability_alone[0])
    assert not found.without.eq(NO_MAP).any()


def test_chance_is_a_share_of_the_draws_and_follows_from_seed_and_id() -> None:
    images, true = torch.stack([picture(q0=2.1, q2=2)] * 60), torch.full((60,), 2)
    predicted = torch.zeros(60, dtype=torch.int64)
    found = decided(images, true, predicted)
    assert {round(value * DRAWS, 4) for value in found.right_by_chance.tolist()} <= set(range(DRAWS + 1))
    assert 0 < found.right_by_chance.mean() < 1
    assert torch.equal(found.right_by_chance, decided(images, true, predicted).right_by_chance)
    assert not torch.equal(found.right_by_chance, decided(images, true, predicted, seed=1).right_by_chance)


def test_parts_are_joined_in_order() -> None:
    one = decided(picture(q0=3, q2=2)[None], torch.tensor([2]), torch.tensor([0]))
    two = decided(picture(q0=3, q1=2)[None], torch.tensor([1]), torch.tensor([0]))
    assert Decisions.join([one, two]).without.tolist() == [2, 1]


def test_evidence_is_exactly_a_fifth_even_of_a_sparse_map() -> None:
    maps = torch.zeros(50, SIZE, SIZE)
    maps[:, 3, 4:7] = 1.0
    chosen = evidence(maps, [str(row) for row in range(50)], seed=0)
    assert chosen.flatten(1).sum(1).tolist() == [round(EVIDENCE * SIZE**2)] * 50 == [51] * 50
    assert chosen[:, 3, 4:7].all()
    assert len({tuple(row.flatten().tolist()) for row in chosen}) == 50  # ties fall differently on each image
    # Tied pixels are drawn evenly: each of the 253 zeros in 48/253 of the images, give or take.
    share = chosen.float().mean(0).flatten()[maps[0].flatten() == 0]
    assert share.max() < 0.5
    assert float(share.mean()) == pytest.approx(48 / 253)


def test_ties_depend_on_neither_the_order_of_images_nor_the_sign_of_zero() -> None:
    maps = torch.zeros(3, SIZE, SIZE)
    ids = ["a", "b", "c"]
    chosen = evidence(maps, ids, seed=5)
    assert torch.equal(evidence(maps, ids[::-1], seed=5).flip(0), chosen)
    assert torch.equal(evidence(-maps, ids, seed=5), chosen)
    assert not torch.equal(evidence(maps, ids, seed=6), chosen)


def test_a_map_that_says_nothing_has_no_order() -> None:
    maps = torch.zeros(4, 2, 2)
    maps[1] = 7
    maps[2, 0, 0] = float("nan")
    maps[3, 0, 0] = 1e-30
    assert has_order(maps).tolist() == [False, False, False, True]


def test_a_blur_keeps_a_flat_image_and_spreads_a_point() -> None:
    flat = torch.full((1, 3, 8, 12), 0.3)
    assert torch.allclose(blurred(flat), flat)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    sigma = 33 / 4
    spread = blurred(point)[0, 0]
    assert float(spread[16, 20] / spread[16, 16]) == pytest.approx(math.exp(-(4**2) / (2 * sigma**2)), rel=0.05)
    assert float(spread[16, 16]) < 0.01
