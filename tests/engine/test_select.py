"""Which test images are explained: every order, ties, ids, and too few."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xaitool import Evaluation
from xaitool.engine.randomness import derive
from xaitool.engine.select import check_ids, select
from xaitool.errors import ExplainError
from xaitool.recipe.schema import SelectSettings

CLASSES, IMAGES = 4, 200
IDS = [f"test/{row:03d}" for row in range(IMAGES)]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (IMAGES,), generator=source)
    logits = torch.randn(IMAGES, CLASSES, generator=source)
    return Evaluation(logits, labels)


def certain(labels: list[int], predicted: list[int], sure: list[float]) -> Evaluation:
    """Predictions with these logits; all other logits are 0."""
    logits = torch.zeros(len(labels), CLASSES)
    logits[torch.arange(len(labels)), torch.tensor(predicted)] = torch.tensor(sure)
    return Evaluation(logits, torch.tensor(labels))


def as_it_was(evaluation: Evaluation, settings: SelectSettings, seed: int) -> tuple[Tensor, Tensor]:
    """The random selection as the first release drew it."""
    generator = torch.Generator().manual_seed(derive(seed, "select"))
    order = torch.randperm(len(evaluation.labels), generator=generator)
    correct = evaluation.correct[order]
    return order[~correct][: settings.misclassified], order[correct][: settings.correct]


@pytest.mark.parametrize("seed", range(5))
def test_random_selections_are_what_they_always_were(evaluation: Evaluation, seed: int) -> None:
    settings = SelectSettings(misclassified=12, correct=7)
    wrong, right = as_it_was(evaluation, settings, seed)
    found = select(evaluation, settings, seed, judge_images=30)
    assert torch.equal(found.misclassified, wrong)
    assert torch.equal(found.correct, right)
    assert len(found.judged) == len(found.apart) == 30
    assert not set(found.apart.tolist()) & {*found.rows.tolist(), *found.judged.tolist()}


def test_the_most_and_the_least_confident_come_first(evaluation: Evaluation) -> None:
    wrong = (~evaluation.correct).nonzero()[:, 0]
    by_confidence = sorted(wrong.tolist(), key=lambda row: -float(evaluation.confidence[row]))
    most = select(evaluation, SelectSettings(misclassified=10, by="most_confident"), seed=0)
    least = select(evaluation, SelectSettings(misclassified=10, by="least_confident"), seed=0)
    assert most.misclassified.tolist() == by_confidence[:10]
    assert least.misclassified.tolist() == by_confidence[::-1][:10]


def test_equally_confident_mistakes_are_drawn_by_seed() -> None:
    evaluation = certain([0] * 6, [1] * 6, [2.0, 1, 1, 1, 1, 3])
    for by, first in (("most_confident", [5, 0]), ("least_confident", [])):
        orders = {
            tuple(select(evaluation, SelectSettings(misclassified=4, by=by), seed).misclassified.tolist())
            for seed in range(30)
        }
        assert all(list(order[: len(first)]) == first for order in orders)
        assert all(set(order[len(first) :]) <= {1, 2, 3, 4} for order in orders)
        assert len(orders) > 5


def test_class_pairs_take_turns_the_commonest_first() -> None:
    labels = [0, 0, 0, 1, 1, 2, 3]
    predicted = [1, 1, 1, 0, 0, 0, 3]
    evaluation = certain(labels, predicted, [1.0] * 7)
    found = select(evaluation, SelectSettings(misclassified=20, by="class_pairs"), seed=0).misclassified
    pairs = [(labels[row], predicted[row]) for row in found.tolist()]
    assert pairs == [(0, 1), (1, 0), (2, 0), (0, 1), (1, 0), (0, 1)]
    assert sorted(found.tolist()) == [0, 1, 2, 3, 4, 5]
    firsts = {
        int(select(evaluation, SelectSettings(misclassified=1, by="class_pairs"), seed).misclassified)
        for seed in range(20)
    }
    assert firsts == {0, 1, 2}  # which of a pair comes first is drawn


def test_pairs_as_common_as_each_other_come_in_the_order_of_the_classes() -> None:
    evaluation = certain([2, 1, 0, 0], [0, 0, 3, 1], [1.0] * 4)
    for seed in range(10):
        found = select(evaluation, SelectSettings(misclassified=4, by="class_pairs"), seed).misclassified
        assert found.tolist() == [3, 2, 1, 0]


def test_how_mistakes_are_ordered_changes_nothing_for_the_right_ones(evaluation: Evaluation) -> None:
    drawn = [
        select(evaluation, SelectSettings(correct=5, by=by), seed=4).correct.tolist()
        for by in ("random", "most_confident", "least_confident", "class_pairs")
    ]
    assert drawn == [drawn[0]] * 4


@pytest.mark.parametrize("by", ["random", "most_confident", "least_confident", "class_pairs"])
def test_where_there_are_too_few_all_are_taken_once(evaluation: Evaluation, by: str) -> None:
    found = select(evaluation, SelectSettings(misclassified=1000, correct=1000, by=by), seed=0)
    assert sorted(found.rows.tolist()) == list(range(IMAGES))
    perfect = certain([0, 1], [0, 1], [1.0, 1.0])
    assert select(perfect, SelectSettings(misclassified=5, by=by), seed=0).misclassified.tolist() == []


def test_given_ids_come_first_and_besides_those_asked_for(evaluation: Evaluation) -> None:
    wrong = (~evaluation.correct).nonzero()[:, 0].tolist()
    right = evaluation.correct.nonzero()[:, 0].tolist()
    given = (IDS[wrong[9]], IDS[right[3]], IDS[wrong[2]], IDS[wrong[9]])
    found = select(evaluation, SelectSettings(misclassified=5, correct=2, ids=given), seed=0, ids=IDS)
    assert found.misclassified[:2].tolist() == [wrong[9], wrong[2]]
    assert found.correct[0] == right[3]
    assert (len(found.misclassified), len(found.correct)) == (7, 3)
    assert len(set(found.rows.tolist())) == 10
    only = select(evaluation, SelectSettings(misclassified=0, ids=given), seed=0, ids=IDS)
    assert only.rows.tolist() == [wrong[9], wrong[2], right[3]]


def test_images_given_by_id_are_not_drawn_again_nor_kept_apart(evaluation: Evaluation) -> None:
    drawn = select(evaluation, SelectSettings(misclassified=3), seed=0, judge_images=50)
    settings = SelectSettings(misclassified=3, ids=tuple(IDS[row] for row in drawn.misclassified.tolist()))
    found = select(evaluation, settings, seed=0, judge_images=50, ids=IDS)
    assert found.misclassified[:3].tolist() == drawn.misclassified.tolist()
    assert len(set(found.misclassified.tolist())) == 6
    assert not set(found.apart.tolist()) & set(found.rows.tolist())


def test_an_unknown_id_is_refused_with_a_suggestion(evaluation: Evaluation) -> None:
    settings = SelectSettings(ids=("test/001", "tset/002"))
    with pytest.raises(ExplainError, match=r"no test image is called 'tset/002'; did you mean 'test/\d+'\?"):
        check_ids(settings, IDS)
    with pytest.raises(ExplainError, match=r"^explain\.select\.ids: .* called 'q'; the first is called 'test/000'$"):
        select(evaluation, SelectSettings(ids=("q",)), seed=0, ids=IDS)
    check_ids(SelectSettings(ids=("test/199",)), IDS)
    check_ids(SelectSettings(), [])
