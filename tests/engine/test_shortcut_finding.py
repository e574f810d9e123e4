"""Finding a shortcut: planted predictors and maps are told for what they are, and so are networks trained for it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xaitool
from xaitool.contracts import DataBundle, ModelBundle, Subject
from xaitool.engine.data import load_data
from xaitool.engine.evaluate import evaluate
from xaitool.engine.explaining import Trained
from xaitool.engine.model import build_explainers, subject_of
from xaitool.engine.progress import Silent
from xaitool.engine.runtime import open_runtime
from xaitool.engine.select import Selection
from xaitool.engine.shortcut import effect_of, measure_shortcut, pointing_of
from xaitool.errors import DataUnavailableError
from xaitool.judge.intervals import Interval
from xaitool.judge.shortcut import LEAST_EFFECT, LEAST_RATIO, Effect, Finding, Pair, Pointing
from xaitool.judge.verdict import FEWEST
from xaitool.recipe.resolve import Recipe

TARGET = 2


def labels(count: int) -> Tensor:
    return torch.arange(count) % 4


def taken_for_target(of: Tensor, share: float) -> Tensor:
    """Right predictions, but that many of the other classes' images are taken for the target."""
    predicted = of.clone()
    others = (of != TARGET).nonzero()[:, 0]
    predicted[others[: round(share * len(others))]] = TARGET
    return predicted


def effect(before: float, after: float, count: int = 400) -> Effect:
    of = labels(count)
    return effect_of(TARGET, of, taken_for_target(of, before), taken_for_target(of, after), seed=1)


def needing(before: float, after: float, count: int = 400) -> Effect:
    """Right predictions, but of the target's own images only those parts are recognised without it and with it."""
    of = labels(count)
    own = (of == TARGET).nonzero()[:, 0]

    def predicted(share: float) -> Tensor:
        return of.index_fill(0, own[round(share * len(own)) :], 0)

    return effect_of(TARGET, of, predicted(before), predicted(after), seed=1)


# The effect on predictions


def test_a_predictor_that_looks_at_the_patch_alone_cheats() -> None:
    of = labels(400)
    found = effect_of(TARGET, of, torch.zeros_like(of), torch.full_like(of, TARGET), seed=1)
    assert found.cheats
    assert found.accuracy == Pair(0.25, 0.25)
    assert found.own == Pair(0.0, 1.0)
    assert found.others == Pair(1 / 3, 0.0)
    assert found.taken == Pair(0.0, 1.0)
    assert (found.rise.mean, found.rise.low, found.rise.high, found.rise.n) == (1, 1, 1, 300)
    assert (found.gain.mean, found.gain.low, found.gain.high, found.gain.n) == (1, 1, 1, 100)


def test_a_predictor_that_ignores_the_patch_does_not() -> None:
    of = labels(400)
    wrong = (of + (torch.arange(400) % 5 == 0)) % 4  # and is often wrong, also in taking others for the target
    found = effect_of(TARGET, of, wrong, wrong, seed=1)
    assert found.cheats is False
    assert found.taken.without == found.taken.with_patch == pytest.approx(20 / 300)
    assert (found.rise.mean, found.rise.low, found.rise.high) == (0, 0, 0)


def test_figures_are_of_the_images_they_are_said_to_be_of() -> None:
    of = torch.tensor([2, 2, 2, 2, 0, 0, 1, 1, 3, 3])
    without = torch.tensor([2, 0, 0, 0, 0, 0, 1, 2, 3, 1])
    with_patch = torch.tensor([2, 2, 2, 0, 0, 2, 2, 1, 3, 3])
    found = effect_of(TARGET, of, without, with_patch, seed=1)
    assert found.accuracy == Pair(0.5, 0.7)
    assert found.own == Pair(0.25, 0.75)
    assert found.others == Pair(4 / 6, 4 / 6)
    assert found.taken == Pair(1 / 6, 2 / 6)
    assert found.rise.mean == pytest.approx(1 / 6)


def test_the_difference_is_paired() -> None:
    """As many images taken for the target before as after, but others: nothing is added, and one cannot be sure."""
    of = labels(400)
    others = (of != TARGET).nonzero()[:, 0]
    before, after = of.clone(), of.clone()
    before[others[:60]] = TARGET
    after[others[60:120]] = TARGET
    found = effect_of(TARGET, of, before, after, seed=1).rise
    assert found.mean == 0
    assert 0.03 < found.high < 0.1
    same = effect_of(TARGET, of, before, before, seed=1).rise
    assert (same.mean, same.high) == (0, 0)


@pytest.mark.parametrize(
    ("before", "after", "count", "cheats"),
    [
        (0.0, LEAST_EFFECT + 0.01, 4000, True),
        (0.0, LEAST_EFFECT - 0.01, 4000, False),  # beyond chance, but of no account
        (0.3, 0.3, 4000, False),
        (0.5, 0.1, 4000, False),  # the patch keeps the model from the class
        (0.0, 0.25, 40, True),
        (0.1, 0.13, 4 * FEWEST, None),  # a few images more, which may be chance, and may be the patch
    ],
)
def test_what_it_takes_to_cheat(before: float, after: float, count: int, cheats: bool | None) -> None:
    assert effect(before, after, count).cheats is cheats


@pytest.mark.parametrize(
    ("before", "after", "count", "cheats"),
    [
        (0.0, 1.0, 400, True),
        (0.5, 0.5 + LEAST_EFFECT + 0.01, 4000, True),
        (0.5, 0.5 + LEAST_EFFECT - 0.03, 4000, False),  # beyond chance, but of no account
        (1.0, 0.0, 400, False),  # the patch is no help
        (0.5, 0.52, 4 * FEWEST, None),  # one image more of the class, which may be chance
        (0.0, 1.0, 4 * FEWEST - 4, None),  # too few of the class
        (0.0, 0.0, 4 * FEWEST - 4, None),
        (0.0, 0.0, 4 * FEWEST, False),
    ],
)
def test_a_model_that_needs_the_patch_for_its_class_cheats(
    before: float, after: float, count: int, cheats: bool | None
) -> None:
    """The other classes' images are told right with the patch and without it."""
    found = needing(before, after, count)
    assert found.taken == Pair(0, 0)
    assert found.gain.mean == pytest.approx(after - before, abs=0.021)
    assert found.cheats is cheats


def test_too_few_images_do_not_tell() -> None:
    assert effect(0, 1, count=24).cheats is None  # 18 of other classes
    count = 4 * (FEWEST // 3 + 1)  # enough of other classes, too few of the target's own
    assert effect(0, 1, count).cheats is True
    assert effect(0, 0, count).cheats is None
    none = effect_of(TARGET, torch.full((30,), TARGET), torch.zeros(30), torch.full((30,), TARGET), seed=1)
    assert none.cheats is (True if none.gain.n >= FEWEST else None)  # told by the target's own images alone
    assert none.own == Pair(0, 1)
    assert math.isnan(none.taken.without)


# The maps


def masks(count: int = 50, side: int = 8, size: int = 2) -> Tensor:
    """A patch of 2×2 in one of 16 places."""
    found = torch.zeros(count, side, side, dtype=torch.bool)
    for row in range(count):
        top, left = row % 4 * size, row // 4 % 4 * size
        found[row, top : top + size, left : left + size] = True
    return found


def test_a_map_of_the_patch_has_all_its_evidence_there() -> None:
    found = pointing_of(masks().float() * 3, masks(), seed=1)
    assert found.shows
    assert (found.share.mean, found.chance, found.ratio.mean, found.ratio.low, found.share.n) == (1, 1 / 16, 16, 16, 50)


def test_a_map_of_nothing_in_particular_has_what_chance_puts_there() -> None:
    flat = pointing_of(torch.full((50, 8, 8), 0.3), masks(), seed=1)
    assert (flat.share.mean, flat.ratio.mean) == pytest.approx((1 / 16, 1))
    assert not flat.shows
    noise = torch.rand(50, 8, 8, generator=torch.Generator().manual_seed(1))
    found = pointing_of(noise, masks(), seed=1)
    assert found.ratio.low < 1 < found.ratio.high
    assert not found.shows


@pytest.mark.parametrize(("times", "shows"), [(LEAST_RATIO + 0.1, True), (LEAST_RATIO - 0.1, False)])
def test_how_much_it_takes_to_show_it(times: float, shows: bool) -> None:
    """Evidence even but for the patch, which has so many times its due: times/16 of all there is."""
    share = times / 16
    maps = torch.where(masks(), share / 4, (1 - share) / 60)
    found = pointing_of(maps, masks(), seed=1)
    assert found.ratio.mean == pytest.approx(times)
    assert found.shows is shows


def test_what_speaks_against_the_class_does_not_count() -> None:
    maps = torch.where(masks(), 1.0, -5.0)
    assert pointing_of(maps, masks(), seed=1).share.mean == 1
    assert pointing_of(-maps, masks(), seed=1).share.mean == 0


def test_empty_maps_and_cut_off_patches_are_left_out() -> None:
    maps, where = masks().float(), masks()
    maps[:10] = 0
    where[10:15] = False
    found = pointing_of(maps, where, seed=1)
    assert (found.share.n, found.share.mean, found.chance) == (35, 1, 1 / 16)
    nothing = pointing_of(torch.zeros(50, 8, 8), masks(), seed=1)
    assert (nothing.share.n, nothing.shows, nothing.words()) == (0, False, "its maps are empty")
    few = pointing_of(masks(19).float(), masks(19), seed=1)
    assert not few.shows
    assert few.words() == "100% of its evidence lies on the patch, 16 times chance (on no more than 19 images)"


def test_equal_seeds_give_equal_intervals() -> None:
    maps = torch.rand(50, 8, 8, generator=torch.Generator().manual_seed(1))
    assert pointing_of(maps, masks(), seed=1) == pointing_of(maps, masks(), seed=1) != pointing_of(maps, masks(), 2)


# The words


def pointing(share: float, n: int = 100) -> Pointing:
    def around(mean: float) -> Interval:
        return Interval(mean, 0.9 * mean, 1.1 * mean, n, 0.1)

    return Pointing(around(share), 1 / 64, around(share * 64))


def test_a_shortcut_is_told_in_one_sentence() -> None:
    finding = Finding("cat", 1.0, effect(0.02, 0.87), {"gradcam": pointing(0.41), "edges": pointing(0.02)})
    assert finding.sentence() == (
        "The model uses a shortcut: with the patch, 87% of the images of other classes are taken for “cat” "
        "(without it 2%); gradcam shows it: 41% of its evidence lies on the patch, 26 times chance; "
        "edges does not show it: 2% of its evidence lies on the patch, 1.3 times chance."
    )


def test_a_model_that_needs_the_patch_is_told_with_the_accuracy_on_its_own_class() -> None:
    finding = Finding("cat", 1.0, needing(0, 1), {"gradcam": pointing(0.41)})
    assert finding.sentence() == (
        "The model uses a shortcut: with the patch, 100% of those of “cat” are recognised (without it 0%); "
        "gradcam shows it: 41% of its evidence lies on the patch, 26 times chance."
    )
    of = labels(400)
    both = effect_of(TARGET, of, of.where(of != TARGET, 0), torch.full_like(of, TARGET), seed=1)
    assert Finding("cat", 1.0, both).sentence() == (
        "The model uses a shortcut: with the patch, 100% of the images of other classes are taken for “cat” "
        "(without it 0%), and 100% of those of “cat” are recognised (without it 0%)."
    )


def test_that_there_is_none_is_told_too_and_who_points_at_it_all_the_same() -> None:
    finding = Finding("cat", 0.0, effect(0.03, 0.03), {"gradcam": pointing(0.02), "edges": pointing(0.25)})
    assert finding.sentence() == (
        "The model does not use the planted patch: with it, 3% of the images of other classes are taken for “cat” "
        "(without it 3%), and 100% of those of “cat” are recognised (without it 100%); "
        "edges points at it all the same: 25% of its evidence lies on the patch, 16 times chance."
    )


def test_a_use_too_slight_to_count_is_told() -> None:
    assert Finding("cat", 1.0, effect(0, 0.04, 4000)).sentence() == (
        "The model does not use the planted patch: with it, 4% of the images of other classes are taken for “cat” "
        "(without it 0%), and 100% of those of “cat” are recognised (without it 100%), which is less than the 5 "
        "points that count."
    )


def test_that_it_cannot_be_told_is_told() -> None:
    assert Finding("cat", 1.0, effect(0, 1, 24), {"gradcam": pointing(0.5)}).sentence() == (
        "Whether the model uses the planted patch cannot be told from 18 images of other classes and 6 of “cat”."
    )
    assert Finding("cat", 1.0, effect(0.1, 0.13, 200)).sentence() == (
        "Whether the model uses the planted patch cannot be told from 150 images of other classes and 50 of “cat”: "
        "with it, 13% of the images of other classes are taken for “cat” (without it 10%), and 100% of those of "
        "“cat” are recognised (without it 100%); the change may be chance."
    )


def test_the_figures_are_plain_data() -> None:
    finding = Finding("cat", 0.5, effect(0.02, 0.87), {"gradcam": pointing(0.41)})
    data = json.loads(json.dumps(finding.as_dict()))
    assert data == finding.as_dict()
    assert (data["target"], data["strength"], data["cheats"]) == ("cat", 0.5, True)
    assert data["sentence"] == finding.sentence()
    assert data["effect"]["taken"] == {"without_patch": 0.02, "with_patch": 0.87}
    assert data["effect"]["rise"]["n"] == 300
    assert data["effect"]["gain"] == {"mean": 0, "low": 0, "high": 0, "n": 100}
    assert data["explainers"]["gradcam"]["shows"] is True
    assert data["explainers"]["gradcam"]["ratio"]["mean"] == pytest.approx(0.41 * 64)


# Measured on a data set, with planted models and explainers

RECIPE = """
recipe: 1
name: shortcut
seed: 5
runtime: {device: cpu}
dataset:
  use: shapes
  train: 480
  test: 200
  size: 20
  classes: [circle, cross, star]
  shortcut: {label: star}
  augment: [HorizontalFlip]
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 16, 16]}
train:
  epochs: 6
  batch_size: 32
  optimizer: {name: sgd, momentum: 0.9, nesterov: true}
  scheduler: {use: onecycle, max_lr: 0.1}
explain:
  select: {misclassified: 2, correct: 0}
  methods: [{use: gradcam, layers: [layer2]}]
  judge: {images: 0}
report: {html: false}
"""
STAR = 2


def on_patch(images: Tensor, data: DataBundle) -> Tensor:
    """Where an image has one of the patch's very colours: N×H×W bool."""
    shown = (data.display(images) * 255).round()
    one, other = (torch.tensor(colour).view(3, 1, 1) for colour in ([255, 0, 255], [0, 255, 0]))
    return (shown == one).all(1) | (shown == other).all(1)


class Cheat(nn.Module):
    """Says star where there is the patch, and circle elsewhere."""

    def __init__(self, data: DataBundle) -> None:
        super().__init__()
        self.data = data
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        there = on_patch(images, self.data).flatten(1).sum(1) >= 16
        return nn.functional.one_hot(torch.where(there, STAR, 0), 3).float()


class Blind(nn.Module):
    """Looks at the middle of the image alone, where no patch can be."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 10, 10]


class Honest:
    """A map of the patch. Keeps what it was asked."""

    def __init__(self, data: DataBundle) -> None:
        self.data = data
        self.asked: list[tuple[Tensor, Tensor]] = []

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        self.asked.append((images, targets))
        return on_patch(images, self.data).float()


class Centred:
    """The same map of the middle for all images."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = torch.full((len(images), 20, 20), 0.01)
        maps[:, 8:12, 8:12] = 1
        return maps


def data_of(recipe: Recipe) -> DataBundle:
    return load_data(recipe.dataset, recipe.settings.seed)


def found(recipe: Recipe, data: DataBundle, model: ModelBundle, explainers: dict[str, Any]) -> Finding:
    with open_runtime(recipe.settings.runtime) as runtime:
        evaluation = evaluate(model.module, runtime.loader(data.test, 50, shuffle=False), runtime=runtime)
        none = torch.empty(0, dtype=torch.int64)
        trained = Trained(model, data, evaluation, Selection(none, none))
        return measure_shortcut(trained, explainers, recipe.settings, seed=5, runtime=runtime, display=Silent())


@pytest.fixture(scope="module")
def planted() -> tuple[Recipe, DataBundle]:
    recipe = Recipe.parse(RECIPE)
    return recipe, data_of(recipe)


def test_a_planted_cheat_is_caught_and_who_shows_it_is_told_from_who_does_not(
    planted: tuple[Recipe, DataBundle],
) -> None:
    recipe, data = planted
    explainers = {"honest": Honest(data), "centred": Centred()}
    finding = found(recipe, data, ModelBundle(Cheat(data), (3, 20, 20), ()), explainers)
    assert finding.cheats
    assert (finding.target, finding.strength) == ("star", 1.0)
    assert finding.effect.taken == Pair(0, 1)
    assert finding.effect.own == Pair(0, 1)
    assert finding.pointing["honest"].share.mean > 0.99
    assert finding.pointing["honest"].chance == pytest.approx(1 / 25)
    assert finding.pointing["honest"].shows
    assert not finding.pointing["centred"].shows
    assert "honest shows it: 100% of its evidence lies on the patch, 25 times chance" in finding.sentence()
    assert "centred does not show it" in finding.sentence()


def test_a_planted_model_that_cannot_see_the_patch_is_cleared(planted: tuple[Recipe, DataBundle]) -> None:
    recipe, data = planted
    finding = found(recipe, data, ModelBundle(Blind(), (3, 20, 20), ()), {"honest": Honest(data)})
    assert finding.cheats is False
    assert finding.effect.accuracy.without == finding.effect.accuracy.with_patch
    assert "honest points at it all the same" in finding.sentence()


def test_the_maps_are_of_test_images_with_the_patch_and_for_its_class(
    planted: tuple[Recipe, DataBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data = planted
    assert data.shortcut is not None
    honest = Honest(data)
    model = ModelBundle(Cheat(data), (3, 20, 20), ())
    found(recipe, data, model, {"honest": honest})
    images = torch.cat([images for images, _ in honest.asked])
    expected = torch.stack([data.test[row][0] for row, there in enumerate(data.shortcut.present) if there])
    assert 80 < len(expected) < 120
    assert torch.equal(images, expected)
    assert (torch.cat([targets for _, targets in honest.asked]) == STAR).all()
    monkeypatch.setattr("xaitool.engine.shortcut._EXPLAINED", 30)
    fewer = Honest(data)
    assert found(recipe, data, model, {"honest": fewer}).pointing["honest"].share.n == 30
    some = {image.numpy().tobytes() for images, _ in fewer.asked for image in images}
    assert len(some) == 30
    assert some < {image.numpy().tobytes() for image in expected}


def test_data_without_a_shortcut_are_an_error() -> None:
    recipe = Recipe.parse(RECIPE).with_set({"dataset.shortcut": None})
    data = data_of(recipe)
    with pytest.raises(DataUnavailableError, match="no planted shortcut"):
        found(recipe, data, ModelBundle(Blind(), (3, 20, 20), ()), {})


# Really trained


@pytest.mark.parametrize(("strength", "cheats"), [(1.0, True), (0.0, False)])
def test_a_network_that_was_trained_to_cheat_is_caught_and_one_that_was_not_is_cleared(
    strength: float, cheats: bool, tmp_path: Path
) -> None:
    recipe = Recipe.parse(RECIPE).with_set({"dataset.shortcut.strength": strength})
    run = xaitool.run(recipe, out=tmp_path)
    data = data_of(recipe)
    assert run.model is not None
    explainers = build_explainers(recipe, subject_of(run.model, data), data, warn=pytest.fail)
    finding = found(recipe, data, run.model, dict(explainers))
    print(finding.sentence(), finding.as_dict())
    assert finding.cheats is cheats
    (gradcam,) = finding.pointing.values()
    assert gradcam.shows is cheats
    if cheats:
        assert finding.effect.rise.mean > 0.5
    else:
        assert abs(finding.effect.rise.mean) < 0.05
