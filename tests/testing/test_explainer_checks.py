"""Each check of explainers finds the explainers that are wrong in what it checks, and passes those that are right."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from planted_specimens import planted_specimen
from torch._subclasses import FakeTensorMode

from xaitool.plugins import catalog
from xaitool.testing import bench
from xaitool.testing.checks import CheckError, checks_for
from xaitool.testing.specimen import Specimen

CHECKS = {check.name: check for check in checks_for("explainer") if check.kind == "explainer"}

# The check, the explainer that it is to catch, and what it says.
WRONG = [
    ("shape-and-dtype", "GivesDoubles", r"gives torch.float64 \(4, 32, 32\).* should be torch.float32 \(4, 32, 32\)"),
    ("shape-and-dtype", "TurnsMapsOver", r"gives torch.float32 \(4, 48, 32\).*should be torch.float32 \(4, 32, 48\)"),
    ("shape-and-dtype", "HasNoExplain", "HasNoExplain has no method explain"),
    ("finite", "DividesByZero", "the map of a constant image is NaN or infinite in 4096 of 4096 values"),
    ("batch-invariant", "ScalesByTheBatch", r"6 images together and one by one: maps differ by [\d.]+ of the largest"),
    ("batch-invariant", "StaysInTrainingMode", "one by one: maps differ by"),
    ("chunk-invariant", "MixesInItsBatchSize", r"batch_size as it is and batch_size=1: maps differ by 0\.97 of"),
    ("chunk-invariant", "DropsTheRest", "7 images together and 3 at a time: maps differ by"),
    ("repeatable", "CountsItsCalls", "the same call twice, both seeded with 0: maps differ by 2 of"),
    ("module-as-before", "LeavesEvalMode", r"training flag of the module \(True before, False after\)"),
    ("module-as-before", "LeavesAHook", "not as before: hooks of stage1$"),
    ("module-as-before", "LeavesItFrozen", r"requires_grad of .* \(True before, False after\).* and \d+ more"),
    ("module-as-before", "LeavesGradients", r"not as before: \.grad of "),
    ("module-as-before", "LearnsStatistics", "not as before: values of stage1.1.running_mean"),
    ("module-as-before", "ChangesTheImages", "the caller's images are changed"),
    ("random-state-as-before", "SeedsNumpy", "after the maps of 4 images were made, not as before: numpy's random"),
    ("as-before-after-an-error", "TidiesUpOnlyIfAllGoesWell", "after an error in the last layer, not as before: hooks"),
    ("frozen-and-no-grad", "NeedsGradMode", r"explain raises RuntimeError for .* inside torch.no_grad\(\)"),
    ("frozen-and-no-grad", "NeedsTrainableWeights", "a module as it is and a frozen one: maps differ by"),
    ("wrong-targets-raise", "TakesAnyTarget", r"3 images, 4 classes, targets \[0, 1\]: raises nothing"),
    ("wrong-targets-raise", "RaisesSomethingElse", r"targets \[0, 1\]: raises IndexError .* instead of ExplainError"),
    ("native-size", "IsFinerThanTheImage", r"native_size is \(128, 128\) for images of 32 × 32"),
    ("flat-memory", "KeepsTensors", r"each 40 calls, on an image of its own each, leave about 40 tensors, "),
    (
        "flat-memory",
        "KeepsArrays",
        r"each 40 calls, on an image of its own each, leave about \d+ bytes of objects behind",
    ),
    ("flat-memory", "RemembersEveryImage", "leave about 40 tensors, 40960 bytes of tensors, "),
    ("flat-memory", "KeepsEverySecondMap", "leave about 20 tensors, 20480 bytes of tensors"),
    ("flat-memory", "KeepsAGrowingLog", "leave about 40960 bytes of tensors behind"),
    ("target-sensitive", "IgnoresTheTarget", "only 0 of 24 maps differ between the true class and another"),
    ("weight-sensitive", "FindsEdges", "only 0 of 24 maps differ between the trained network and one of random"),
    ("points-at-the-object", "LooksAtTheCentre", r"on the object in \d+% of \d+ pictures, the centre pixel in \d+%"),
    ("target-sensitive", "SaysItIgnoresTheTarget", r"24 of 24 maps differ .*, though class_specific is False"),
    ("shares", "AnswersOneQuestion", "question 1 of three asked together, and asked alone: maps differ by"),
    ("closed-form", "AveragesNothing", r"differs by [\d.]+ from the closed form"),
]

# Wrong in the way of one check, and of no other.
IN_ONE_WAY = [
    ("finite", "DividesByZero"),
    ("chunk-invariant", "MixesInItsBatchSize"),
    ("chunk-invariant", "DropsTheRest"),
    ("repeatable", "CountsItsCalls"),
    ("as-before-after-an-error", "TidiesUpOnlyIfAllGoesWell"),
    ("frozen-and-no-grad", "NeedsTrainableWeights"),
    ("native-size", "IsFinerThanTheImage"),
    ("target-sensitive", "IgnoresTheTarget"),
    ("weight-sensitive", "FindsEdges"),
    ("points-at-the-object", "LooksAtTheCentre"),
]


def specimen(factory: str, module: str = "wrong_explainers", name: str = "wrong", **options: Any) -> Specimen:
    return planted_specimen("explainer", module, factory, name=name, **options)


def built_in(name: str) -> Specimen:
    return Specimen(catalog().find("explainer", name))


RIGHT = {
    "gradcam": built_in("gradcam"),
    "gradcam of stage1": Specimen(catalog().find("explainer", "gradcam"), {"layers": ["stage1"]}),
    "gradcam++": built_in("gradcam++"),
    "input times gradient": specimen("InputTimesGradient", "right_explainers", "right"),
    "input times gradient, two at a time": specimen("InputTimesGradient", "right_explainers", "right", batch_size=2),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_explainer_passes(name: str, check: str) -> None:
    CHECKS[check].run(RIGHT[name])


@pytest.mark.parametrize(("check", "factory", "message"), WRONG, ids=[f"{row[0]}: {row[1]}" for row in WRONG])
def test_a_wrong_explainer_is_caught(check: str, factory: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        CHECKS[check].run(specimen(factory, name="gradcam" if check == "closed-form" else "wrong"))


@pytest.mark.parametrize(("check", "factory"), IN_ONE_WAY, ids=[f"{row[0]}: {row[1]}" for row in IN_ONE_WAY])
def test_and_is_caught_for_nothing_else(check: str, factory: str) -> None:
    caught = []
    for other in CHECKS.values():
        if other.name != "flat-memory":  # the slow one
            try:
                other.run(specimen(factory))
            except CheckError:
                caught.append(other.name)
    assert caught == [check]


def test_there_is_a_wrong_explainer_for_every_check() -> None:
    assert {check for check, _, _ in WRONG} == set(CHECKS)


def test_every_check_says_what_it_checks_in_a_line() -> None:
    assert all(20 < len(check.summary) < 130 and check.summary.endswith(".") for check in CHECKS.values())


def test_the_closed_form_is_asked_of_grad_cam_alone() -> None:
    CHECKS["closed-form"].run(specimen("AveragesNothing", name="gradcam++"))


def test_an_explainer_without_native_size_passes_that_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from right_explainers import InputTimesGradient

    monkeypatch.delattr(InputTimesGradient, "native_size")
    CHECKS["native-size"].run(specimen("InputTimesGradient", "right_explainers"))


def test_most_objects_off_centre_leave_the_centre_pixel_free_and_the_network_knows_them() -> None:
    found = bench.off_centre()
    centre = found.masks[:, bench.SIZE // 2, bench.SIZE // 2].float().mean()
    assert len(found.images) >= 80
    assert centre < 0.5
    assert 0.05 < found.masks.float().mean() < 0.3
    module = bench.subject().module.eval()
    with torch.no_grad():
        assert torch.equal(module(found.images).argmax(1), found.labels)


def test_each_caller_gets_a_network_of_its_own() -> None:
    first = bench.subject().module
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert next(bench.subject().module.parameters()).abs().sum() > 1
    assert first.training


def test_the_network_that_has_lived_is_of_two_minds_in_everything() -> None:
    module = bench.lived_in().module
    parameters = list(module.parameters())
    assert len({part.training for part in module.modules()}) == 2
    assert len({parameter.requires_grad for parameter in parameters}) == 2
    assert len({parameter.grad is None for parameter in parameters}) == 2


def test_tensors_without_memory_of_their_own_do_not_stop_the_count_of_memory() -> None:
    """Such as torch.compile and sparse models leave in a process that goes on to check a plugin."""
    with FakeTensorMode():
        fake = torch.ones(3)
    held = [fake, torch.ones(3, device="meta"), torch.eye(3).to_sparse()]
    CHECKS["flat-memory"].run(specimen("InputTimesGradient", "right_explainers"))
    assert len(held) == 3


def test_checks_leave_the_callers_random_state_alone() -> None:
    before = bench.random_state()
    for check in CHECKS.values():
        check.run(specimen("InputTimesGradient", "right_explainers"))
    assert not bench.changes(before, bench.random_state())
    random.random(), np.random.rand(), torch.rand(1)
    assert bench.changes(before, bench.random_state()).count("random state") == 3
