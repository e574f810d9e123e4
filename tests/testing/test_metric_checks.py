"""Each check of metrics finds the metrics that are wrong in what it checks, and passes those that are right."""

from __future__ import annotations

import pytest
import torch
from planted_specimens import planted_specimen

from xaitool.testing import bench, planted
from xaitool.testing.checks import CheckError, checks_for
from xaitool.testing.specimen import Specimen

CHECKS = {check.name: check for check in checks_for("metric") if check.kind == "metric"}

RIGHT = ["MassInMask", "Deletion", "Randomisation", "Jitter", "Gini", "Entropy"]

# The check, the metric that it is to catch, and what it says.
WRONG = [
    ("declared", "IsNoMetric", "IsNoMetric lacks aspect, direction, range, needs or score"),
    ("declared", "HasAnAspectOfItsOwn", "aspect is 'beauty', not one of faithfulness, model, class, localisation"),
    ("declared", "PointsUpwards", "direction is 'up', not one of higher, lower, none"),
    ("declared", "HasItsRangeBackwards", r"range is \(1.0, 0.0\), not the least score and a greater one"),
    ("declared", "NeedsMoney", "not a frozenset of explainer, mask"),
    ("within-range", "ScoresPerCent", r"scores \d+\.?\d* with status ok, outside its range 0 to 1 \(truth\)"),
    (
        "within-range",
        "ScoresZeroWhereThereIsNone",
        r"scores 0 with status 'too sparse'; it should be NaN \(hot pixel\)",
    ),
    ("within-range", "ScoresTheBatch", "gives 1 scores and 1 statuses for 12 images"),
    ("within-range", "ForgetsChanceLevels", "gives 1 chance levels for 12 images"),
    ("direction", "HasItsDirectionBackwards", r"lower is better, but maps that are right \(truth\) score 1 on"),
    ("direction", "DeletesTheLowestFirst", r"lower is better, .* \(truth\) score 0\.\d+ .* \(opposite\) 0\.\d+"),
    ("direction", "LikesWhatIgnoresTheModel", r"\(input_times_gradient\) score -?0\.\d+ .* \(brightness\) 1"),
    ("direction", "LikesJumpyMaps", r"\(truth\) score 0\.0\d+ .* \(jumpy\)"),
    ("direction", "LikesSpreadMaps", r"lower is better, .* \(truth\) score 0\.9\d+ .* \(opposite\) 0\.0\d+"),
    ("constant-map", "ScoresConstantMaps", r"a map of 0 everywhere has status ok and scores 0\.\d+"),
    ("constant-map", "ScoresConstantMapsNaN", "a map of 0 everywhere has status ok and scores nan"),
    ("constant-map", "FailsForConstantMaps", "score raises ZeroDivisionError for 4 maps: division by zero"),
    ("order-and-batch-invariant", "ComparesWithTheBatch", r"1 at a time: planted/00\d \(.*\) scores 0\.\d+ and 0\.5"),
    ("order-and-batch-invariant", "DrawsByPlace", r"in another order: planted/00\d \(truth\) scores 0\.\d+ and 0\.\d+"),
    (
        "repeatable",
        "DrawsFromTheGlobalGenerator",
        r"seeded with 0 and 1: planted/000 \(truth\) scores 0\.\d+ and 0\.\d+",
    ),
    ("module-as-before", "LeavesEvalMode", r"training flag of the module \(True before, False after\)"),
    ("module-as-before", "RandomisesTheVeryModel", "not as before: values of head.weight"),
    ("module-as-before", "UsesUpRandomNumbers", "not as before: torch's random state"),
    ("module-as-before", "ScalesTheCallersMaps", r"the caller's maps are changed in \d+ of 1024 values"),
    ("missing-needs-raise", "DoesWithoutAMask", "without the mask that it needs, for 3 images: raises nothing"),
    ("missing-needs-raise", "FailsWithoutAnExplainer", "without the explainer .*: raises TypeError .* of MetricError"),
]

# Wrong in the way of one check, and of no other.
IN_ONE_WAY = [
    ("declared", "HasItsRangeBackwards", {"within-range"}),
    ("within-range", "ScoresPerCent", set()),
    ("within-range", "ScoresZeroWhereThereIsNone", set()),
    ("within-range", "ForgetsChanceLevels", set()),
    ("direction", "HasItsDirectionBackwards", set()),
    ("direction", "DeletesTheLowestFirst", set()),
    ("direction", "LikesWhatIgnoresTheModel", set()),
    ("direction", "LikesJumpyMaps", set()),
    ("direction", "LikesSpreadMaps", set()),
    ("constant-map", "ScoresConstantMaps", set()),
    ("order-and-batch-invariant", "DrawsByPlace", set()),
    ("module-as-before", "LeavesEvalMode", set()),
    ("module-as-before", "UsesUpRandomNumbers", set()),
    ("missing-needs-raise", "DoesWithoutAMask", set()),
]


def specimen(factory: str, module: str = "wrong_metrics") -> Specimen:
    return planted_specimen("metric", module, factory)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("factory", RIGHT)
def test_a_right_metric_passes(factory: str, check: str) -> None:
    CHECKS[check].run(specimen(factory, "right_metrics"))


@pytest.mark.parametrize(("check", "factory", "message"), WRONG, ids=[f"{row[0]}: {row[1]}" for row in WRONG])
def test_a_wrong_metric_is_caught(check: str, factory: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        CHECKS[check].run(specimen(factory))


@pytest.mark.parametrize(("check", "factory", "follows"), IN_ONE_WAY, ids=[f"{row[0]}: {row[1]}" for row in IN_ONE_WAY])
def test_and_is_caught_for_nothing_else(check: str, factory: str, follows: set[str]) -> None:
    caught = set()
    for other in CHECKS.values():
        try:
            other.run(specimen(factory))
        except CheckError:
            caught.add(other.name)
    assert caught == {check, *follows}


def test_there_is_a_wrong_metric_for_every_check() -> None:
    assert {check for check, _, _ in WRONG} == set(CHECKS)


def test_every_check_says_what_it_checks_in_a_line() -> None:
    assert all(20 < len(check.summary) < 130 and check.summary.endswith(".") for check in CHECKS.values())


def test_the_planted_evidence_is_what_the_network_goes_by() -> None:
    problem, subject = planted.problem(8), planted.subject()
    module = subject.module.eval()
    with torch.no_grad():
        probability = module(problem.images).softmax(1).gather(1, problem.targets[:, None])[:, 0]
        without = torch.where(problem.masks[:, None], 0, problem.images)
        left = module(without).softmax(1).gather(1, problem.targets[:, None])[:, 0]
    assert probability.min() > 0.8
    assert left.max() < 0.35
    share = planted.input_times_gradient(subject, problem.images, problem.targets)
    assert (share[problem.masks].sum() / share.sum()) > 0.9
    assert problem.masks.sum((1, 2)).tolist() == [16] * 8


def test_checks_leave_the_callers_random_state_alone() -> None:
    before = bench.random_state()
    for check in CHECKS.values():
        check.run(specimen("Randomisation", "right_metrics"))
    assert not bench.changes(before, bench.random_state())
