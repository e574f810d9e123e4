"""Each check of a model catches a wrong one, and right ones pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from planted_specimens import failing, planted_specimen

from xaitool.plugins import catalog
from xaitool.testing import CheckError
from xaitool.testing.checks import checks_for
from xaitool.testing.specimen import Specimen

CHECKS = {check.name: check for check in checks_for("model") if check.kind == "model"}

WRONG = [
    ("logits", "double_logits", r"the logits are torch\.float64, not torch\.float32"),
    ("logits", "another_size", r"built for \(3, 224, 224\), and was asked for \(3, 32, 32\)"),
    ("logits", "no_batch_of_one", r"1 images give logits of \(4,\), not \(1, 4\)"),
    ("logits", "bare_module", "the factory returns a Right, not a ModelBundle"),
    ("eval-deterministic", "always_drops", r"gives? other logits the second time, by up to \d"),
    ("batch-invariant", "looks_at_the_batch", r"alone, an image has other logits than in a batch of 4: by 0\.\d+ of"),
    (
        "state-dict-round-trip",
        "loses_weights",
        r"second build with the same state dict gives other logits, by up to 0\.\d",
    ),
    ("state-dict-round-trip", "names_its_parts_anew", "does not take the first one's state dict: (?s:.*)draw_"),
    ("gradients", "unused_layer", r"2 of 12 parameters get no gradient: 'spare\.weight', 'spare\.bias'$"),
    ("gradients", "frozen", "no parameter is trainable"),
    ("overfits", "blind", r"at a rate of 0\.001, 2 of 8 are right and the loss goes from 1\.\d+ to 1\.3\d"),
    ("initial-loss", "loud", r"before training the loss is 5\.\d+; ln 4 = 1\.39 was expected, or at most 0\.4 more"),
    ("initial-loss", "twelve_times_as_loud", r"before training the loss is 1\.9\d; ln 4 = 1\.39 was expected"),
    ("cam-layers", "no_such_layer", "the CAM layer 'layer4' is not in the network"),
    ("cam-layers", "idle_layer", "the CAM layer 'spare' takes no part in a forward pass"),
    ("cam-layers", "pooled_layer", r"the CAM layer 'pool' gives \(2, 16, 1, 1\), not N x C x h x w larger"),
    ("cam-layers", "backwards", "the CAM layers are 'second', 'first', but run as 'first', 'second'"),
]
# What must fail elsewhere too: a shape or a type that no check can do without, logits that cannot be learnt.
BROKEN_THROUGHOUT = {"bare_module", "no_batch_of_one", "always_drops", "frozen", "twelve_times_as_loud"}


def model(factory: str, **options: Any) -> Specimen:
    return planted_specimen("model", "wrong_models", factory, **options)


@pytest.mark.parametrize(("name", "fault", "told"), WRONG, ids=[fault for _, fault, _ in WRONG])
def test_a_wrong_model_is_caught_by_one_check(name: str, fault: str, told: str) -> None:
    with pytest.raises(CheckError, match=told):
        CHECKS[name].run(model(fault))
    assert set(failing(CHECKS, model(fault))) == {name} or fault in BROKEN_THROUGHOUT


@pytest.mark.parametrize("factory", ["right", "tokens", "unnamed_tokens"])
def test_a_right_model_passes_and_the_random_state_is_left_alone(factory: str) -> None:
    before = torch.manual_seed(11).get_state()
    assert failing(CHECKS, model(factory)) == {}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm", {"name": "resnet", "layers": [1, 1, 1, 1], "widths": [8, 8, 16, 16], "stem": "cifar"}),
        ("resnet18", {"stem": "cifar", "drop_rate": 0.2}),
        ("resnet18", {"stem": "imagenet"}),
    ],
    ids=["own resnet", "cifar stem", "imagenet stem"],
)
def test_the_built_in_models_pass(name: str, options: dict[str, Any]) -> None:
    assert failing(CHECKS, Specimen(catalog().find("model", name), options)) == {}


def test_timms_mobilenets_start_too_sure_of_themselves_and_pass_all_else() -> None:
    found = failing(CHECKS, Specimen(catalog().find("model", "timm"), {"name": "mobilenetv3_small_050"}))
    assert list(found) == ["initial-loss"]
    assert "before training the loss is 2." in found["initial-loss"]


@pytest.mark.parametrize("name", ["timm", "resnet18"])
def test_a_residual_network_with_a_last_layer_twelve_times_as_large_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"layers": [1, 1, 1, 1], "widths": [16, 32, 64, 128], "stem": "cifar", "name": "resnet"}
    found = Specimen(catalog().find("model", name), options if name == "timm" else {"stem": "cifar"})
    CHECKS["initial-loss"].run(found)
    build = Specimen.build

    def louder(each: Specimen, **given: Any) -> Any:
        bundle = build(each, **given)
        with torch.no_grad():
            [part for part in bundle.module.modules() if isinstance(part, torch.nn.Linear)][-1].weight.mul_(12)
        return bundle

    monkeypatch.setattr(Specimen, "build", louder)
    with pytest.raises(CheckError, match=r"before training the loss is \d\.\d+; ln 4 = 1\.39 was expected"):
        CHECKS["initial-loss"].run(found)


def test_pretrained_weights_may_prefer_a_class() -> None:
    CHECKS["initial-loss"].run(model("loud", pretrained=True))


def test_each_check_has_a_wrong_model() -> None:
    assert {name for name, _, _ in WRONG} == set(CHECKS)
