"""Groups: planted kinds of mistakes are found again, and a single cloud is not split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn

from xaitool.triage.features import difference, penultimate
from xaitool.triage.groups import NO_GROUP, Groups, group

SOURCE = torch.Generator().manual_seed(0)
DIMENSIONS = 24

Planted = tuple[Tensor, Tensor, list[str], list[str], Tensor, list[str]]


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Each test draws the same numbers, whichever tests ran before it."""
    SOURCE.manual_seed(0)


def planted(kinds: list[tuple[str, str, int, int]], noise: float = 0.3) -> tuple[Planted, list[int]]:
    """Mistakes of several kinds: (true, predicted, which features and which corner, how many); and each one's kind."""
    features, maps, true, predicted, kind_of = [], [], [], [], []
    for kind, (label, taken_for, sort, count) in enumerate(kinds):
        centre, where = torch.zeros(DIMENSIONS), torch.zeros(8, 8)
        centre[sort] = 1
        where[sort, :] = 1
        features.append(centre + noise * torch.randn(count, DIMENSIONS, generator=SOURCE) / DIMENSIONS**0.5)
        maps.append(where + noise * torch.randn(count, 8, 8, generator=SOURCE))
        true += [label] * count
        predicted += [taken_for] * count
        kind_of += [kind] * count
    shuffle = torch.randperm(len(true), generator=SOURCE)
    ids = [f"image {place:04d}" for place in range(len(true))]
    confidence = 0.5 + 0.4 * torch.rand(len(true), generator=SOURCE)
    names = [[names[row] for row in shuffle.tolist()] for names in (true, predicted)]
    lot = (torch.cat(features)[shuffle], torch.cat(maps)[shuffle], *names, confidence, ids)
    return lot, [kind_of[row] for row in shuffle.tolist()]


KINDS = [("cat", "dog", 0, 60), ("cat", "dog", 1, 40), ("cat", "dog", 2, 20), ("owl", "fox", 0, 50)]


def test_planted_kinds_are_recovered() -> None:
    lot, kind_of = planted(KINDS)
    found = group(*lot, seed=0)
    assert adjusted_rand_score(kind_of, found.of) == 1
    assert [(each.name, each.size) for each in found.groups] == [
        ("cat taken for dog (1)", 60),
        ("cat taken for dog (2)", 40),
        ("cat taken for dog (3)", 20),
        ("owl taken for fox", 50),
    ]
    split, whole = found.groups[0], found.groups[3]
    assert split.silhouette is not None
    assert split.by_chance is not None
    assert split.silhouette > split.by_chance + 0.1
    assert whole.silhouette is None


def test_most_of_the_kinds_are_recovered_where_they_overlap() -> None:
    lot, kind_of = planted(KINDS, noise=1.0)
    assert adjusted_rand_score(kind_of, group(*lot, seed=0).of) > 0.9


def test_one_cloud_is_seldom_split() -> None:
    splits = sum(len(group(*planted([("cat", "dog", 0, 60)], noise=2.0)[0], seed=0).groups) > 1 for _ in range(10))
    assert splits <= 2  # one in twenty by chance; three or more of ten, one time in a hundred


def test_a_long_cloud_is_seldom_split_either() -> None:
    splits = 0
    for _ in range(5):
        (_, _, *rest), _ = planted([("cat", "dog", 0, 60)])
        features = 0.1 * torch.randn(60, DIMENSIONS, generator=SOURCE)
        features[:, 0] += torch.randn(60, generator=SOURCE)  # long in one direction, with two halves as any
        features[:, 1] += 5
        splits += len(group(features, torch.zeros(60, 8, 8), *rest, seed=0).groups) > 1
    assert splits <= 1


def test_size_confidence_and_examples_are_those_of_the_members() -> None:
    (features, maps, true, predicted, confidence, ids), _ = planted(KINDS)
    found = group(features, maps, true, predicted, confidence, ids, seed=0)
    for place, each in enumerate(found.groups):
        members = np.flatnonzero(found.of == place)
        assert each.size == len(members)
        assert each.confidence == pytest.approx(float(confidence[members].mean()))
        assert len(set(each.examples)) == 6
        assert set(each.examples) <= {ids[member] for member in members}


def test_examples_are_nearest_the_centre() -> None:
    lot, _ = planted([("cat", "dog", 0, 30)], noise=0.05)
    features, maps, *rest = lot
    outlier = rest[-1][7]
    features[7] = torch.randn(DIMENSIONS, generator=SOURCE)
    maps[7] = -maps[7]
    (one,) = group(features, maps, *rest, seed=0).groups
    assert outlier not in one.examples


def test_neither_the_order_of_the_mistakes_nor_another_run_changes_anything() -> None:
    (features, maps, true, predicted, confidence, ids), _ = planted(KINDS, noise=1.0)

    def named(found: Groups, names: list[str]) -> dict[str, str]:
        return {name: found.groups[place].name for name, place in zip(names, found.of, strict=True)}

    first = group(features, maps, true, predicted, confidence, ids, seed=0)
    for _ in range(3):
        order = torch.randperm(len(ids), generator=SOURCE)
        labels, guesses, mixed = ([names[row] for row in order.tolist()] for names in (true, predicted, ids))
        again = group(features[order], maps[order], labels, guesses, confidence[order], mixed, seed=0)
        assert named(first, ids) == named(again, mixed)
        assert first.groups == again.groups  # to the last digit of silhouettes and confidences


def test_too_few_mistakes_make_no_groups_and_rare_pairs_are_in_none() -> None:
    nine, _ = planted([("cat", "dog", 0, 9)])
    assert group(*nine, seed=0).groups == ()
    assert set(group(*nine, seed=0).of) == {NO_GROUP}
    some, kind_of = planted([("cat", "dog", 0, 8), ("owl", "fox", 1, 4)])
    found = group(*some, seed=0)
    assert [each.name for each in found.groups] == ["cat taken for dog"]
    assert (found.of == NO_GROUP).tolist() == [kind == 1 for kind in kind_of]


def test_only_the_eight_commonest_pairs_make_groups() -> None:
    found = group(*planted([(f"class {place}", "dog", 0, 20 - place) for place in range(12)])[0], seed=0)
    assert [each.name for each in found.groups] == [f"class {place} taken for dog" for place in range(8)]


def test_mistakes_that_are_all_the_same_make_one_group() -> None:
    (_, _, *rest), _ = planted([("cat", "dog", 0, 30)])
    found = group(torch.zeros(30, 5), torch.zeros(30, 8, 8), *rest, seed=0)
    assert [(each.name, each.size) for each in found.groups] == [("cat taken for dog", 30)]


class Headed(nn.Module):
    """A network whose head is a linear layer, unless its logits are scaled afterwards."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Linear(7, 3)  # registered first, runs last
        self.body = nn.Linear(12, 7)
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(self.body(images.flatten(1)).relu())
        return logits if self.scale == 1 else logits * self.scale  # type: ignore[no-any-return]


def test_features_are_what_goes_into_the_layer_that_gives_the_logits() -> None:
    images, module = torch.randn(5, 3, 2, 2), Headed().eval()
    with torch.no_grad():
        assert torch.equal(penultimate(module, images), module.body(images.flatten(1)).relu())
    assert not module.head._forward_hooks


def test_features_are_the_logits_where_no_linear_layer_gives_them() -> None:
    images = torch.randn(5, 3, 2, 2)
    convolutional = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten())
    for module in (Headed(scale=2.0), convolutional):
        with torch.no_grad():
            assert torch.equal(penultimate(module, images), module(images))


def test_hooks_are_gone_after_an_error() -> None:
    module = Headed()
    with pytest.raises(RuntimeError):
        penultimate(module, torch.randn(5, 3, 9, 9))
    assert not any(part._forward_hooks for part in module.modules())


def test_a_difference_says_where_each_class_has_more_evidence() -> None:
    one, other = torch.zeros(2, 32, 32), torch.zeros(2, 32, 32)
    one[0, :4, :4] = 10.0
    other[0, 28:, 28:] = 0.1
    other[1] = float("nan")
    found = difference(one, other)
    assert found.shape == (2, 8, 8)
    assert (float(found[0, 0, 0]), float(found[0, 7, 7])) == (0.5, -0.5)
    assert float(found[0].abs().sum()) == 1
    assert not found[1].any()
