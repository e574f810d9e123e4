"""The judge itself: on a network whose evidence is known, good explainers pass and bad ones do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xaitool import Subject, build
from xaitool.contracts import Scores
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime, open_runtime
from xaitool.errors import MetricError
from xaitool.judge.choose import choose
from xaitool.judge.judge import DEALS, SETS_OF_MAPS, Judge
from xaitool.recipe.schema import RuntimeSettings

SIZE, COUNT = 12, 60


class Brightest(nn.Module):
    """Two classes: the right one where something red is to be seen anywhere, else the left one."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(6.0))

    def forward(self, images: Tensor) -> Tensor:
        red = (images[:, 0] - images[:, 1]).flatten(1).clamp(min=0).sum(1) / 9
        return torch.stack([-red, red], 1) * self.scale - torch.tensor([-2.0, 2.0])


class Maps:
    """An explainer whose maps are a function of the images."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return self.function(images).float()


def scenes() -> tuple[Tensor, Tensor]:
    """Grey noise with one red 3×3 patch somewhere, and where it is."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(COUNT, 1, SIZE, SIZE, generator=generator).expand(-1, 3, -1, -1).clone() * 0.8
    mask = torch.zeros(COUNT, SIZE, SIZE, dtype=torch.bool)
    for image, where in zip(images, mask, strict=True):
        row, column = torch.randint(0, SIZE - 2, (2,), generator=generator).tolist()
        where[row : row + 3, column : column + 3] = True
        image[0][where] = 1.0
        image[1:, where] = 0.0
    return images, mask


def evidence(images: Tensor) -> Tensor:
    return (images[:, 0] - images[:, 1]).clamp(min=0)


def at_random(seed: int) -> Any:
    return lambda images: torch.rand(len(images), SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def edges(images: Tensor) -> Tensor:
    grey = images.mean(1)
    return torch.nn.functional.pad((grey[:, 1:, 1:] - grey[:, :-1, :-1]).abs(), (0, 1, 0, 1))


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        yield runtime


def metrics(steps: int = 32) -> dict[str, Any]:
    names = {"abpc": {"steps": steps, "baseline": "mean"}, "mass_in_mask": {}, "gini": {}}
    return {name: build("metric", name, **options) for name, options in names.items()}


def judge_of(runtime: Runtime, **changes: Any) -> Judge:
    images, mask = scenes()
    given: dict[str, Any] = {"metrics": metrics(), "mask": mask, "seed": 0} | changes
    subject = Subject(Brightest(), mean=(0.5,) * 3, std=(1.0,) * 3)
    ids = [f"test/{row}" for row in range(COUNT)]
    targets = torch.ones(COUNT, dtype=torch.int64)
    return Judge(subject, images - 0.5, targets, ids, given.pop("metrics"), runtime=runtime, **given)


def test_the_true_evidence_is_faithful_and_finds_the_object(runtime: Runtime) -> None:
    found = judge_of(runtime).judge("truth", Maps(lambda images: evidence(images + 0.5)))
    assert found.verdict.words() == "faithful; finds the object"
    assert found.controls[0].name == "its own maps of other images"
    assert len(found.controls) == 5
    assert [each.name for each in found.object_controls][:2] == ["chance", "its own maps of other images"]
    faithful, placed = found.measure("faithfulness"), found.measure("localisation")
    assert faithful is not None
    assert placed is not None
    assert faithful.score.mean > 0.4
    assert placed.score.mean == pytest.approx(1.0)
    assert placed.chance == pytest.approx(9 / SIZE**2)
    assert found.measure("complexity").direction == "none"  # type: ignore[union-attr]
    # An area between two curves is insertion minus deletion: what stands in the file and what is drawn agree.
    fraction = faithful.curves["fraction"]
    area = torch.trapezoid(torch.tensor(faithful.curves["insertion"]), torch.tensor(fraction)) - torch.trapezoid(
        torch.tensor(faithful.curves["deletion"]), torch.tensor(fraction)
    )
    assert float(area) == pytest.approx(faithful.score.mean, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "maps", "words"),
    [
        ("random", at_random(3), "says nothing; does not find the object"),
        ("edges", edges, None),
        ("wrong way round", lambda images: -evidence(images + 0.5), "says nothing"),  # and has no mass to be placed
    ],
)
def test_bad_explainers_are_told_for_what_they_are(runtime: Runtime, name: str, maps: Any, words: str | None) -> None:
    found = judge_of(runtime).judge(name, Maps(maps))
    assert not found.verdict.meets("faithful")
    if words:
        assert found.verdict.words() == words


def test_a_constant_map_has_too_few_images_and_not_a_score_of_zero(runtime: Runtime) -> None:
    found = judge_of(runtime).judge("nothing", Maps(lambda images: torch.zeros(len(images), SIZE, SIZE)))
    assert found.verdict.faithfulness == "too few images"
    assert found.measures[0].left_out == {"constant map": COUNT}
    assert found.verdict.words() == "too few usable maps (60 of 60 are constant)"


def test_one_map_that_is_not_finite_costs_its_image_and_not_the_verdict(runtime: Runtime) -> None:
    def odd(images: Tensor) -> Tensor:
        maps = evidence(images + 0.5)
        maps[0] = float("nan")
        return maps

    found = judge_of(runtime, mask=None).judge("odd", Maps(odd))
    assert found.verdict.words() == "faithful"
    lost = found.measures[0].left_out["non-finite map"]  # one a batch
    assert 0 < found.controls[-1].difference.n == COUNT - lost


def test_an_explainer_that_speaks_about_few_images_is_not_called_faithful_without_saying_so(runtime: Runtime) -> None:
    def some(images: Tensor) -> Tensor:
        return evidence(images + 0.5) * (torch.arange(len(images)) % 3 > 0)[:, None, None]

    found = judge_of(runtime, mask=None).judge("some", Maps(some))
    assert found.verdict.words() == "faithful (on 39 of 60 images; 21 of 60 are constant)"
    assert not found.verdict.meets("faithful")


def test_maps_that_say_nothing_may_ignore_the_weights_but_are_not_about_the_model(runtime: Runtime) -> None:
    chosen = {"abpc": metrics()["abpc"], "randomisation": build("metric", "randomisation", seeds=1)}
    judge = judge_of(runtime, metrics=chosen, mask=None)

    def blank_noise(images: Tensor) -> Tensor:
        return at_random(int(images.sum() * 1000) % 1000)(images)

    fixed = judge.judge("fixed", Maps(blank_noise))
    assert fixed.verdict.words() == "says nothing; ignores the weights"

    class Noise:
        calls = 0

        def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
            self.calls += 1
            return at_random(self.calls)(images).float()

    other = judge.judge("noise", Noise())
    assert other.measure("model").score.high < 0.5  # type: ignore[union-attr]
    assert other.verdict.words() == "says nothing"


def test_a_random_explainer_says_nothing_in_95_of_100_repetitions(runtime: Runtime) -> None:
    """200 repetitions, of which at most 5% may be called something else: by chance at most 16 (97.5%, binomial)."""
    wrong = 0
    for seed in range(200):
        judge = judge_of(runtime, metrics={"abpc": metrics(steps=8)["abpc"]}, mask=None, seed=seed)
        found = judge.judge("random", Maps(at_random(derive(seed, "maps") % 2**31)))
        wrong += found.verdict.faithfulness != "says nothing"
    assert wrong <= 16


def test_order_does_not_matter(runtime: Runtime) -> None:
    straight = judge_of(runtime)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    ids = [straight.ids[row] for row in order.tolist()]
    shuffled = Judge(
        straight.subject,
        straight.images[order],
        straight.targets,
        ids,
        metrics(),
        runtime=runtime,
        mask=straight.mask[order],  # type: ignore[index]
        seed=0,
    )
    explainer = Maps(edges)
    one, other = straight.judge("edges", explainer), shuffled.judge("edges", explainer)
    for mine, theirs in zip(one.measures, other.measures, strict=True):
        torch.testing.assert_close(torch.tensor(mine.values)[order], torch.tensor(theirs.values), rtol=0, atol=1e-6)
    for before, after in zip(one.controls, other.controls, strict=True):
        assert before.control.mean == pytest.approx(after.control.mean, abs=1e-6)
        assert before.difference.low == pytest.approx(after.difference.low, abs=1e-6)


def test_metrics_that_need_a_mask_are_left_out_without_one(runtime: Runtime) -> None:
    found = judge_of(runtime, mask=None).judge("truth", Maps(lambda images: evidence(images + 0.5)))
    assert [each.metric for each in found.measures] == ["abpc", "gini"]
    assert found.verdict.object is None
    assert found.object_controls == ()


def test_a_metric_for_which_less_is_better_is_compared_the_other_way_round(runtime: Runtime) -> None:
    deletion = {"deletion": build("metric", "deletion", baseline="mean")}
    judge = judge_of(runtime, metrics=deletion, mask=None)
    found = judge.judge("truth", Maps(lambda images: evidence(images + 0.5)))
    assert found.verdict.faithfulness == "faithful"
    assert all(each.difference.mean > 0 for each in found.controls)
    assert judge.judge("wrong", Maps(lambda images: -evidence(images + 0.5))).verdict.faithfulness == "says nothing"


def test_the_progress_is_told_set_by_set(runtime: Runtime) -> None:
    ticks: list[int] = []
    judge = judge_of(runtime, metrics={"abpc": metrics()["abpc"]}, tick=ticks.append)
    judge.judge("one", Maps(edges))
    assert ticks == [COUNT] * SETS_OF_MAPS
    assert SETS_OF_MAPS == 1 + DEALS + 4


def test_one_image_cannot_be_judged(runtime: Runtime) -> None:
    with pytest.raises(MetricError, match="judging takes two images at least, and there are 1"):
        Judge(Subject(Brightest()), torch.zeros(1, 3, 4, 4), torch.zeros(1).long(), ["a"], {}, runtime=runtime)


class Layered:
    """An explainer with a good setting and bad ones."""

    def __init__(self, setting: str = "second", automatic: bool = False) -> None:
        self.setting, self.automatic = setting, automatic

    def alternatives(self, subject: Subject) -> dict[str, Any]:
        return {name: Layered(name) for name in ("first", "second", "third")}

    def current(self, subject: Subject) -> str:
        return self.setting

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        truth = evidence(images + 0.5)
        return truth if self.setting == "third" else at_random(len(self.setting))(images) + 0.1 * truth


def test_the_most_faithful_layer_is_chosen(runtime: Runtime) -> None:
    explainer, choice = choose(judge_of(runtime), Layered(automatic=True))
    assert explainer.setting == "third"  # type: ignore[attr-defined]
    assert (choice.used, choice.automatic, choice.better) == ("third", True, None)
    assert max(choice.scores, key=lambda name: choice.scores[name].mean) == "third"
    assert choice.words() == "looks at third, the most faithful of 3 layers"


class Shades(Layered):
    """An explainer whose settings differ by a little noise only, the first having the least of it."""

    def alternatives(self, subject: Subject) -> dict[str, Any]:
        return {name: Shades(name) for name in ("first", "second", "third")}

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        noise = {"first": 0.0, "second": 0.02, "third": 0.04}[self.setting]
        return evidence(images + 0.5) + noise * at_random(1)(images)


def test_a_lead_by_chance_is_no_reason_to_leave_the_last_layer(runtime: Runtime) -> None:
    explainer, choice = choose(judge_of(runtime), Shades("second", automatic=True))
    assert max(choice.scores, key=lambda name: choice.scores[name].mean) == choice.best == "first"
    assert explainer.setting == choice.used == "third"  # type: ignore[attr-defined]
    assert choice.words() == "looks at third, the last of 3 layers that no other is clearly more faithful than"


class Mute(Layered):
    """An explainer that gives constant maps with its first setting."""

    def alternatives(self, subject: Subject) -> dict[str, Any]:
        return {name: Mute(name) for name in ("first", "second", "third")}

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return super().explain(subject, images, targets) * (self.setting != "first")


def test_layers_that_cannot_be_compared_are_told(runtime: Runtime) -> None:
    choice = choose(judge_of(runtime), Mute(automatic=True))[1]
    assert (choice.used, list(choice.scores), choice.left_out) == ("third", ["second", "third"], ("first",))
    assert choice.words() == (
        "looks at third, the most faithful of 2 layers (first apart, whose maps are constant too often)"
    )


def test_a_named_layer_stays_and_a_clearly_better_one_is_told(runtime: Runtime) -> None:
    given = Layered("second")
    explainer, choice = choose(judge_of(runtime), given)
    assert explainer.setting == "second"  # type: ignore[attr-defined]
    assert choice.better == "third"
    assert choice.words().startswith("looks at second; third would be clearly more faithful (+0.")  # type: ignore[union-attr]
    best = choose(judge_of(runtime), Layered("third"))[1]
    assert (best.better, best.words()) == (None, None)


def few(judge: Judge, count: int) -> Judge:
    """The same, over the first images only."""
    ids = judge.ids[:count]
    metric = {"abpc": judge.metrics["abpc"]}
    return Judge(judge.subject, judge.images[:count], judge.targets[:count], ids, metric, runtime=judge.runtime)


def test_too_few_images_choose_no_layer(runtime: Runtime) -> None:
    explainer, choice = choose(few(judge_of(runtime), 29), Layered("second", automatic=True))
    assert explainer.setting == "second"  # type: ignore[attr-defined]
    assert (choice.used, choice.automatic, choice.too_few) == ("second", False, True)
    assert choice.words() == "looks at second, as it does by itself: too few images to choose a layer"
    assert choose(few(judge_of(runtime), 30), Layered("second", automatic=True))[1].used == "third"
    assert choose(few(judge_of(runtime), 29), Layered("second"))[1].words() is None


class Drawn:
    """A judge whose scores are drawn: layers that are equal, but for chance, or whose last one is ahead by `lead`."""

    seed = 0

    def __init__(self, draw: int, lead: float = 0.0, spread: float = 1.0) -> None:
        self.generator, self.lead, self.spread = np.random.default_rng(draw), lead, spread
        self.subject = Subject(nn.Identity())
        self.metrics = {"abpc": metrics()["abpc"]}

    def deciding(self, aspect: str) -> str:
        return "abpc"

    def values(self, metric: str, explainer: Any) -> Any:
        return self.generator.normal(0, self.spread, 40) + self.lead * (explainer.setting == 11)


class Many:
    """An explainer with twelve layers, which looks at the first."""

    automatic = False

    def __init__(self, setting: int = 0) -> None:
        self.setting = setting

    def alternatives(self, subject: Subject) -> dict[str, Any]:
        return {str(layer): Many(layer) for layer in range(12)}

    def current(self, subject: Subject) -> str:
        return "0"


def test_among_twelve_equal_layers_none_is_clearly_better_in_95_of_100_choices() -> None:
    better = sum(choose(Drawn(draw), Many())[1].better is not None for draw in range(20))  # type: ignore[arg-type]
    assert better <= 2
    assert choose(Drawn(0, lead=0.8), Many())[1].better == "11"  # type: ignore[arg-type]


def test_a_layer_that_is_better_by_a_thousandth_is_not_clearly_better() -> None:
    assert choose(Drawn(0, lead=0.005, spread=1e-4), Many())[1].better is None  # type: ignore[arg-type]
    assert choose(Drawn(0, lead=0.02, spread=1e-4), Many())[1].better == "11"  # type: ignore[arg-type]


def test_choosing_takes_a_metric_of_faithfulness(runtime: Runtime) -> None:
    judge = judge_of(runtime, metrics={"gini": metrics()["gini"]})
    with pytest.raises(MetricError, match="choosing a layer takes a metric of faithfulness"):
        choose(judge, Layered(automatic=True))


def test_a_controls_score_is_the_mean_of_its_deals_where_they_have_one() -> None:
    from xaitool.judge.judge import _mean_scores

    sets = [Scores([1.0, float("nan")], curves={"deletion": [[0.0, 1.0], [1.0, 1.0]]}), Scores([3.0, float("nan")])]
    found = _mean_scores([sets[0], Scores(sets[1].values, curves={"deletion": [[1.0, 1.0], [1.0, 1.0]]})])
    assert found.values[0] == 2.0
    assert found.values[1] != found.values[1]
    assert found.curves["deletion"].tolist()[0] == [0.5, 1.0]
