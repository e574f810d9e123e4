"""Each check of a schedule catches a wrong one, and right ones pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from xaitool.component import Component
from xaitool.plugins import Offer, Plugin, catalog
from xaitool.testing import CheckError
from xaitool.testing.checks import Check, checks_for
from xaitool.testing.specimen import Specimen

CHECKS = {check.name: check for check in checks_for("scheduler") if check.kind == "scheduler"}

WRONG = [
    ("tune-leaves-things-alone", "ChangesTheDtype", "^tune changes torch's default dtype$"),
    ("tune-leaves-things-alone", "LeavesGradientsOff", "^tune changes whether gradients are computed$"),
    (
        "tune-leaves-things-alone",
        "FindsTheRealModel",
        "^tune changes the model's weights, which parts are in train mode$",
    ),
    ("tune-repeatable", "Unseeded", r"with the same seed tune finds 0\.10\d* first and 0\.10\d* then"),
    ("tune-repeatable", "UnseededCurve", r"tune's curve has different losses \(3 points and 3\)"),
    ("tune-steps", "TooManyBatches", "tune_steps is 2, but tune draws batches more often than that"),
    ("tune-steps", "TooManySteps", "tune_steps is 3, but tune steps the optimizer more often than that"),
    ("rates", "EndsAtZero", "with sgd the rate is 0 at step 1 of 7"),
    ("rates", "OneStepShort", "step 7 of 7 raises ValueError: tried to step 7 times"),
    ("rates", "NeedsItsOwnSearch", "build for 1 steps raises AttributeError"),
    ("peak", "LowPeak", r"the greatest rate of 7 steps is 0\.099; the tuned one is 0\.1"),
    ("resumes", "Forgets", r"resumed with sgd, step 26 of 50 has a rate of 0\.0\d+ \(momentum 0\.9\); without a stop"),
    ("resumes", "SavesAnObject", "cannot be saved and safely loaded"),
]
# What makes the schedule fail everywhere, not at one check alone.
BROKEN_THROUGHOUT = {"OneStepShort", "NeedsItsOwnSearch"}


def wrong(factory: str) -> Specimen:
    component = Component("wrong", config="wrong_schedulers:Config", factory=f"wrong_schedulers:{factory}")
    return Specimen(Offer("scheduler", component, Plugin("wrong/main", "wrong", "0")))


def failing(specimen: Specimen) -> set[str]:
    """The names of the checks that fail."""
    found = set()
    for check in CHECKS.values():
        try:
            check.run(specimen)
        except CheckError:
            found.add(check.name)
    return found


@pytest.mark.parametrize(("name", "fault", "told"), WRONG, ids=[fault for _, fault, _ in WRONG])
def test_a_wrong_schedule_is_caught(name: str, fault: str, told: str) -> None:
    with pytest.raises(CheckError, match=told):
        CHECKS[name].run(wrong(fault))


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, fault, _ in WRONG if fault not in BROKEN_THROUGHOUT]
)
def test_what_is_wrong_in_one_way_fails_one_check(name: str, fault: str) -> None:
    assert failing(wrong(fault)) == {name}


def test_a_search_without_end_is_ended() -> None:
    with pytest.raises(CheckError, match="tune_steps is 3, but tune draws batches more often"):
        CHECKS["tune-steps"].run(wrong("NeverStops"))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_right_schedule_with_a_search_passes(check: Check) -> None:
    check.run(wrong("Right"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("onecycle", {"max_lr": 0.1}),
        ("onecycle", {"max_lr": 0.1, "cycle_momentum": True, "anneal": "linear"}),
        ("cosine", {"max_lr": 0.1}),
        ("lr_finder_onecycle", {}),
        ("lr_finder_onecycle", {"num_iter": 17}),
    ],
)
def test_the_built_in_schedules_pass(name: str, options: dict[str, Any]) -> None:
    assert failing(Specimen(catalog().find("scheduler", name), options)) == set()


def test_each_check_has_a_wrong_schedule() -> None:
    assert {name for name, _, _ in WRONG} == set(CHECKS)


def test_a_check_puts_back_what_a_search_has_set() -> None:
    for fault in ("ChangesTheDtype", "LeavesGradientsOff"):
        with pytest.raises(CheckError):
            CHECKS["tune-leaves-things-alone"].run(wrong(fault))
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_the_checks_leave_the_random_state_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    assert failing(wrong("Right")) == set()
    assert torch.equal(torch.get_rng_state(), before)
