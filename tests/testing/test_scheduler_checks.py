"""Each check of a schedule catches a wrong one, and right ones pass."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from planted_specimens import failing, planted_specimen

from xaitool.plugins import catalog
from xaitool.testing import CheckError
from xaitool.testing.checks import checks_for
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
    ("rates", "EndsAtZero", "with sgd the rate is 0 at step 1 of 2"),
    ("rates", "OneStepShort", "step 2 of 2 raises ValueError: tried to step 2 times, but there are 1"),
    ("rates", "NeedsItsOwnSearch", "build for 1 steps raises AttributeError"),
    ("peak", "LowPeak", r"the greatest rate of 7 steps is 0\.099; the tuned one is 0\.1"),
    (
        "uses-total-steps",
        "IsOverAfterFiveSteps",
        "^5% into a training the rate is 1 of its peak with 50 steps, and 1e-06 with 200$",
    ),
    (
        "resumes",
        "Forgets",
        r"resumed with sgd, step 27 of 50 has a rate of 0\.0529\d* .*; without a stop it has a rate of 0\.0980",
    ),
    ("resumes", "SavesAnObject", "cannot be saved and safely loaded"),
]
# What makes the schedule fail everywhere, not at one check alone.
BROKEN_THROUGHOUT = {"OneStepShort", "NeedsItsOwnSearch"}


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> Iterator[None]:
    """After each search Accelerate collects garbage, which among all that was imported takes longer than the search."""
    gc.freeze()
    yield
    gc.unfreeze()


def wrong(factory: str) -> Specimen:
    return planted_specimen("scheduler", "wrong_schedulers", factory)


@pytest.mark.parametrize(("name", "fault", "told"), WRONG, ids=[fault for _, fault, _ in WRONG])
def test_a_wrong_schedule_is_caught_by_one_check(name: str, fault: str, told: str) -> None:
    found = failing(CHECKS, wrong(fault))
    assert re.search(told, found[name])
    assert set(found) == {name} or fault in BROKEN_THROUGHOUT


def test_a_search_without_end_is_ended() -> None:
    with pytest.raises(CheckError, match="tune_steps is 3, but tune draws batches more often"):
        CHECKS["tune-steps"].run(wrong("NeverStops"))


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
    assert failing(CHECKS, Specimen(catalog().find("scheduler", name), options)) == {}


def test_each_check_has_a_wrong_schedule() -> None:
    assert {name for name, _, _ in WRONG} == set(CHECKS)


def test_a_check_puts_back_what_a_search_has_set() -> None:
    for fault in ("ChangesTheDtype", "LeavesGradientsOff"):
        with pytest.raises(CheckError):
            CHECKS["tune-leaves-things-alone"].run(wrong(fault))
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_a_right_schedule_passes_and_the_random_state_is_left_alone() -> None:
    before = torch.manual_seed(11).get_state()
    assert failing(CHECKS, wrong("Right")) == {}
    assert torch.equal(torch.get_rng_state(), before)
