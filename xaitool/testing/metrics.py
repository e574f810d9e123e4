"""Checks for components of metrics, on the planted problem of :mod:`xaitool.testing.planted`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from xaitool.contracts import Aspect, Metric, Scores, Subject
from xaitool.engine.randomness import kept, seed_all
from xaitool.errors import MetricError
from xaitool.testing import bench, planted
from xaitool.testing.checks import CheckError, check, expect, expect_error
from xaitool.testing.specimen import Specimen

_SAME = 1e-5
_NEEDS = {"mask", "explainer"}
# A constant map may well have a complexity, or be stable; whatever else is measured depends on the order of pixels.
_BLIND_TO_ORDER = ("complexity", "stability")


@check("declared", "metric")
def declared(specimen: Specimen) -> None:
    """It is a Metric, and says its aspect, direction, range and needs in the contract's words."""
    metric = specimen.build()
    expect(isinstance(metric, Metric), f"{type(metric).__name__} lacks aspect, direction, range, needs or score")
    aspects = get_args(Aspect)
    expect(metric.aspect in aspects, f"aspect is {metric.aspect!r}, not one of {', '.join(aspects)}")
    directions = ("higher", "lower", "none")
    expect(metric.direction in directions, f"direction is {metric.direction!r}, not one of {', '.join(directions)}")
    least_and_greatest = metric.range
    expect(
        isinstance(least_and_greatest, tuple)
        and len(least_and_greatest) == 2
        and all(isinstance(end, float | int) for end in least_and_greatest)
        and least_and_greatest[0] < least_and_greatest[1],
        f"range is {least_and_greatest!r}, not the least score and a greater one",
    )
    expect(
        isinstance(metric.needs, frozenset) and metric.needs <= _NEEDS,
        f"needs is {metric.needs!r}, not a frozenset of {', '.join(sorted(_NEEDS))}",
    )


@check("within-range", "metric")
def within_range(specimen: Specimen) -> None:
    """Each image has one score, within the declared range where its status is ok and NaN where it is not."""
    metric, given = specimen.build(), planted.problem(12)
    least, greatest = metric.range
    for explain in (*planted.good_and_bad(metric.aspect), planted.input_times_gradient, _hot_pixel, _noise):
        name = explain.__name__.strip("_").replace("_", " ")
        scores = _score(metric, given, explain)
        status = _status(scores)
        expect(
            len(scores.values) == len(status) == len(given.ids),
            f"gives {len(scores.values)} scores and {len(status)} statuses for {len(given.ids)} images ({name})",
        )
        expect(
            len(scores.chance) in (0, len(given.ids)),
            f"gives {len(scores.chance)} chance levels for {len(given.ids)} images ({name})",
        )
        for value, word in zip(scores.values, status, strict=True):
            if word == "ok":
                expect(
                    math.isfinite(value) and least <= value <= greatest,
                    f"scores {value:.9g} with status ok, outside its range {least:g} to {greatest:g} ({name})",
                )
            else:
                expect(math.isnan(value), f"scores {value:.4g} with status {word!r}; it should be NaN ({name})")


@check("direction", "metric")
def direction(specimen: Specimen) -> None:
    """The maps of a good explainer score better than those of a bad one, where the metric has a better and a worse."""
    metric, given = specimen.build(), planted.problem(16)
    if metric.direction == "none":
        return
    good_explainer, bad_explainer = planted.good_and_bad(metric.aspect)
    good, bad = (_mean(_score(metric, given, explain)) for explain in (good_explainer, bad_explainer))
    better = good > bad if metric.direction == "higher" else good < bad
    expect(
        better,
        f"{metric.direction} is better, but maps that are right ({good_explainer.__name__}) score {good:.4g} on "
        f"average and maps that are wrong ({bad_explainer.__name__}) {bad:.4g}",
    )


@check("constant-map", "metric")
def constant_map(specimen: Specimen) -> None:
    """A constant map raises nothing, and has a status and no value (if the aspect is not complexity or stability)."""
    metric, given = specimen.build(), planted.problem(4)
    for level in (0.0, 0.5):
        maps = planted.truth(planted.subject(), given.images, given.targets)
        maps[1] = level
        scores = _score(metric, given, planted.truth, maps)
        value, status = scores.values[1], _status(scores)[1]
        if status != "ok":
            expect(math.isnan(value), f"a map of {level:g} everywhere has status {status!r} and scores {value:.4g}")
        else:
            expect(
                metric.aspect in _BLIND_TO_ORDER and math.isfinite(value),
                f"a map of {level:g} everywhere has status ok and scores {value:.4g}; it should have another status "
                "and NaN",
            )


@check("order-and-batch-invariant", "metric")
def order_and_batch_invariant(specimen: Specimen) -> None:
    """An image's score depends neither on the other images of its batch nor on their order, to 1e-5."""
    metric, given = specimen.build(), planted.problem(7)
    whole = _by_id(metric, [given])
    shuffled = given.rows(torch.tensor([3, 0, 6, 2, 5, 1, 4]))
    _expect_same(_by_id(metric, [shuffled]), whole, "7 images in another order")
    for size in (1, 3):
        parts = [given.rows(rows) for rows in torch.arange(7).split(size)]
        _expect_same(_by_id(metric, parts), whole, f"7 images together and {size} at a time")


@check("repeatable", "metric")
def repeatable(specimen: Specimen) -> None:
    """The same call gives the same scores, whatever the state of the global random generators."""
    metric, given = specimen.build(), planted.problem(6)
    first, again = (_by_id(metric, [given], seed=seed) for seed in (0, 1))
    _expect_same(again, first, "the same call twice, the global generators seeded with 0 and 1")


@check("module-as-before", "metric")
def module_as_before(specimen: Specimen) -> None:
    """The module, its hooks, flags, gradients and values, the images, the maps and the random state are as before."""
    metric, given, subject = specimen.build(), planted.problem(4), planted.subject()
    subject.module.get_submodule("stage1").eval().requires_grad_(False)
    for parameter in subject.module.get_submodule("head").parameters():
        parameter.grad = torch.ones_like(parameter)
    images, targets = given.images.clone(), given.targets.clone()
    maps = planted.input_times_gradient(subject, images, targets)
    kept_maps = maps.clone()
    with kept():
        seed_all(0)
        before = bench.condition(subject.module) | bench.random_state()
        metric.score(subject, images, targets, maps, given.given(planted.input_times_gradient, metric.needs))
        changed = bench.changes(before, bench.condition(subject.module) | bench.random_state())
    expect(not changed, f"after 4 maps were scored, not as before: {changed}")
    for name, one, other in (("images", images, given.images), ("maps", maps, kept_maps)):
        wrong = int((one != other).sum())
        expect(not wrong, f"the caller's {name} are changed in {wrong} of {one.numel()} values")


@check("missing-needs-raise", "metric")
def missing_needs_raise(specimen: Specimen) -> None:
    """MetricError where a mask or an explainer that the metric needs is not given."""
    metric, given, subject = specimen.build(), planted.problem(3), planted.subject()
    maps = planted.truth(subject, given.images, given.targets)
    for need in sorted(metric.needs):
        less = given.given(planted.truth, metric.needs - {need})
        with kept(), expect_error(MetricError, f"without the {need} that it needs, for {len(maps)} images"):
            metric.score(subject, given.images, given.targets, maps, less)


def _score(
    metric: Metric, given: planted.Problem, explain: planted.Explain, maps: Tensor | None = None, seed: int = 0
) -> Scores:
    """Scores of an explainer's maps, or of those given; CheckError for whatever the metric raises."""
    subject = planted.subject()
    if maps is None:
        maps = explain(subject, given.images, given.targets)
    with kept():
        seed_all(seed)
        try:
            scores: Any = metric.score(subject, given.images, given.targets, maps, given.given(explain, metric.needs))
        except Exception as error:
            raise CheckError(f"score raises {type(error).__name__} for {len(maps)} maps: {error}") from error
    expect(isinstance(scores, Scores), f"score gives {type(scores).__name__}, not Scores, for {len(maps)} maps")
    return scores  # type: ignore[no-any-return]


def _status(scores: Scores) -> Sequence[str]:
    return scores.status or ["ok"] * len(scores.values)


def _mean(scores: Scores) -> float:
    ok = [value for value, word in zip(scores.values, _status(scores), strict=True) if word == "ok"]
    expect(ok, f"none of {len(scores.values)} maps has a score: {', '.join(sorted(set(_status(scores))))}")
    return sum(ok) / len(ok)


def _by_id(metric: Metric, parts: Sequence[planted.Problem], seed: int = 0) -> dict[str, float]:
    found: dict[str, float] = {}
    # Right maps are zero in most places, which gives a metric ties to break; the others differ more between images.
    for explain in (planted.good_and_bad(metric.aspect)[0], planted.input_times_gradient):
        for part in parts:
            names = (f"{name} ({explain.__name__})" for name in part.ids)
            found |= zip(names, map(float, _score(metric, part, explain, seed=seed).values), strict=True)
    return found


def _expect_same(one: dict[str, float], other: dict[str, float], what: str) -> None:
    for name, value in other.items():
        both_missing = math.isnan(one[name]) and math.isnan(value)
        same = both_missing or math.isclose(one[name], value, rel_tol=_SAME, abs_tol=_SAME)
        expect(same, f"{what}: {name} scores {value:.6g} and {one[name]:.6g}")


def _hot_pixel(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
    """All in one pixel."""
    maps = torch.zeros_like(images[:, 0])
    maps[:, 3, 5] = 1
    return maps


def _noise(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
    """Of either sign, and large."""
    return 100 * torch.randn(images[:, 0].shape, generator=torch.Generator().manual_seed(2))
