"""Randomisation, other class and Max-Sensitivity: explainers whose scores are known."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from scipy.stats import spearmanr
from torch import Tensor, nn

from xaitool.contracts import Given, Scores, Subject
from xaitool.engine.explain import explain
from xaitool.engine.runtime import open_runtime
from xaitool.errors import MetricError
from xaitool.recipe.schema import RuntimeSettings
from xaitool_gradcam.config import Config
from xaitool_gradcam.explainers import build_gradcam
from xaitool_metrics.config import BatchConfig, RandomisationConfig, SensitivityConfig
from xaitool_metrics.ranks import spearman
from xaitool_metrics.sanity import OtherClass, Randomisation
from xaitool_metrics.stability import MaxSensitivity
from xaitool_metrics.twins import twins
from xaitool_timm.config import TimmConfig
from xaitool_timm.models import build_timm

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CLASSES = 5


def network() -> Subject:
    """A small ResNet whose batch norms have statistics as uneven as learnt ones."""
    torch.manual_seed(0)
    bundle = build_timm(
        TimmConfig(layers=(1, 1, 1, 1), widths=(8, 8, 16, 16), stem="cifar"),
        num_classes=CLASSES,
        input_size=(3, 16, 16),
    )
    for part in bundle.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            assert part.running_var is not None
            part.running_var.copy_(10 ** torch.empty_like(part.running_var).uniform_(-6, 2))
    return Subject(bundle.module.eval(), bundle.cam_layers, MEAN, STD)


def images_of(number: int) -> Tensor:
    return (torch.rand(number, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.4) / 0.25


def score(metric: Any, subject: Subject, explain: Any, number: int = 6, maps: Tensor | None = None) -> Scores:
    images, targets = images_of(number), torch.arange(number) % CLASSES
    given = Given([f"image {i}" for i in range(number)], 3, explain=explain)
    maps = explain(subject, images, targets) if maps is None else maps
    result: Scores = metric.score(subject, images, targets, maps, given)
    return result


def brightness(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
    """Cares neither about the model nor about the class."""
    return images.mean(1)


def gradient(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """Input times gradient."""
    with torch.enable_grad():
        inputs = images.clone().requires_grad_()
        subject.module(inputs).gather(1, targets[:, None]).sum().backward()
    assert inputs.grad is not None
    return (inputs.grad * images).sum(1)


def test_rank_correlation_is_scipys_ties_included() -> None:
    source = torch.Generator().manual_seed(0)
    maps = torch.randn(40, 9, 11, generator=source)
    others = maps + 2 * torch.randn(40, 9, 11, generator=source)
    maps[10:] = maps[10:].clamp(min=0)
    others[20:] = (others[20:] * 2).round()
    expected = [spearmanr(one.flatten(), other.flatten())[0] for one, other in zip(maps, others, strict=True)]
    assert np.allclose(spearman(maps, others), expected, atol=1e-6)
    assert np.allclose(spearman(maps, -maps), -1, atol=1e-6)


def test_a_map_without_order_has_no_rank_correlation() -> None:
    maps = torch.rand(2, 4, 4)
    others = torch.stack([torch.ones(4, 4), maps[1]])
    others[1, 0, 0] = float("nan")
    assert spearman(maps, others).isnan().all()
    assert spearman(others, maps).isnan().all()


# Randomisation


def test_an_explainer_that_ignores_the_model_scores_1_and_input_times_gradient_little() -> None:
    metric = Randomisation(RandomisationConfig())
    assert score(metric, network(), brightness).values == pytest.approx([1] * 6, abs=1e-6)
    found = score(metric, network(), gradient, number=12)
    assert abs(np.mean(found.values)) < 0.25
    assert list(found.status) == ["ok"] * 12


def test_the_score_is_the_mean_over_seeds_of_scipys_correlation_with_the_twins_maps() -> None:
    subject, seen = network(), []

    def watched(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        seen.append(gradient(subject, images, targets))
        return seen[-1]

    found = score(Randomisation(RandomisationConfig(seeds=4)), subject, watched)
    own, *random = seen
    assert len(random) == 4
    for i, value in enumerate(found.values):
        each = [spearmanr(own[i].flatten(), other[i].flatten())[0] for other in random]
        assert value == pytest.approx(np.mean(each), abs=1e-6)
        assert np.ptp(each) > 1e-3, "seeds differ"


@pytest.mark.parametrize("nothing", [0.0, float("nan")])
def test_a_random_networks_map_without_order_is_left_out_and_proves_nothing(nothing: float) -> None:
    """The twins' maps are the network's own: none of image 0, and that of image 1 from the second twin on alone."""
    subject, asked = network(), []

    def explain(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        asked.append(images)
        maps = images[:, 0].clone()
        maps[0] *= nothing
        maps[1] *= 1 if len(asked) > 1 else nothing
        return maps

    metric = Randomisation(RandomisationConfig(seeds=3, depths=1))
    found = score(metric, subject, explain, maps=images_of(6)[:, 0])
    assert len(asked) == 3
    assert list(found.status) == ["no map of a random network"] + ["ok"] * 5
    assert np.isnan(found.values[0])
    assert found.values[1:] == pytest.approx([1] * 5, abs=1e-6)


@pytest.mark.parametrize("batch_size", [256, 30, 7])
def test_what_an_explainer_draws_at_random_is_no_proof_that_it_is_about_the_model(batch_size: int) -> None:
    class Noise:
        def explain(self, _subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
            return images[:, 0] + torch.rand(len(images), 16, 16)

    def engines(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return explain(Noise(), subject, images, targets, seed=4, runtime=runtime)

    options: dict[str, Any] = {"batch_size": batch_size}
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        for metric in (Randomisation(RandomisationConfig(seeds=1, **options)), OtherClass(BatchConfig(**options))):
            assert score(metric, network(), engines, number=40).values == pytest.approx([1] * 40, abs=1e-5)
        stable = MaxSensitivity(SensitivityConfig(draws=2, radius=1e-3, **options))
        assert max(score(stable, steady(), engines, number=40).values) < 1e-3, "the noise is the same near the image"


def test_the_engine_draws_the_same_for_an_image_however_many_come_after_it() -> None:
    class Noise:
        def explain(self, _subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
            return torch.rand(len(images), 16, 16)

    subject, images, targets = steady(), images_of(200), torch.zeros(200, dtype=torch.int64)
    whole = explain(Noise(), subject, images, targets)
    for number in (32, 64, 128):
        assert explain(Noise(), subject, images[:number], targets[:number]).equal(whole[:number])
    assert len(whole.flatten(1).unique(dim=0)) == 200, "and another map for every image"


def test_twins_have_every_layers_own_values_in_another_order_from_the_input_up() -> None:
    subject = network()
    before = copy.deepcopy(subject.module.state_dict())
    names = [name for name, _ in subject.module.named_parameters()]
    changed = []
    for twin in twins(subject.module, images_of(1), seed=1, depths=4):
        parameters = dict(twin.named_parameters())
        changed.append({name for name in names if not parameters[name].equal(before[name])})
        for name in names:
            assert parameters[name].flatten().sort().values.equal(before[name].flatten().sort().values)
    assert "conv1.weight" in changed[0]
    assert "fc.weight" not in changed[2]
    assert changed[0] < changed[1] < changed[2] < changed[3]
    varied = {name for name in names if before[name].unique().numel() > 1}
    assert changed[3] == varied
    after = subject.module.state_dict()
    assert all(after[name].equal(value) for name, value in before.items())


def test_twins_answer_with_finite_logits_that_differ_between_images_and_have_maps() -> None:
    subject, images = network(), images_of(8)
    explain = build_gradcam(Config(layers=("layer2",))).explain
    for seed in range(5):
        (twin,) = twins(subject.module, images, seed, depths=1)
        with torch.no_grad():
            logits = twin(images)
        assert logits.isfinite().all()
        assert 1e-3 < float(logits.std(0).mean()) < 1e3
        maps = explain(Subject(twin), images, torch.zeros(8, dtype=torch.int64))
        assert (maps.flatten(1).std(1) > 0).float().mean() >= 0.5


def test_depths_give_a_curve_that_starts_at_1_and_ends_at_the_score() -> None:
    found = score(Randomisation(RandomisationConfig(seeds=2, depths=4)), network(), gradient)
    assert found.curves["fraction"] == [0, 0.25, 0.5, 0.75, 1]
    curve = np.array(found.curves["correlation"])
    assert curve.shape == (6, 5)
    assert (curve[:, 0] == 1).all()
    assert np.allclose(curve[:, -1], found.values)
    assert not score(Randomisation(RandomisationConfig(seeds=1)), network(), gradient).curves


# Another class


def test_another_class_is_drawn_for_each_image_evenly_and_never_the_target() -> None:
    asked: list[Tensor] = []

    def watched(_subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        asked.append(targets.clone())
        return images[:, 0]

    score(OtherClass(BatchConfig(batch_size=1000)), network(), watched, number=500)
    targets, others = asked
    assert (targets != others).all()
    assert (others >= 0).all()
    assert (others < CLASSES).all()
    counts = torch.bincount((others - targets) % CLASSES, minlength=CLASSES)[1:]
    assert counts.min() > 90


def test_an_explainer_that_ignores_the_class_scores_1_and_one_that_turns_minus_1() -> None:
    assert score(OtherClass(BatchConfig()), network(), brightness).values == pytest.approx([1] * 6, abs=1e-6)

    def turning(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        return -images[:, 0]

    found = score(OtherClass(BatchConfig()), network(), turning, maps=images_of(6)[:, 0])
    assert found.values == pytest.approx([-1] * 6, abs=1e-6)


@pytest.mark.parametrize("nothing", [0.0, float("nan")])
def test_an_image_whose_other_class_has_no_map_has_no_score(nothing: float) -> None:
    def silent(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        return images[:, 0] * torch.tensor([nothing, 1, 1, 1, 1, nothing])[:, None, None]

    found = score(OtherClass(BatchConfig()), network(), silent, maps=images_of(6)[:, 0])
    assert list(found.status) == ["no map for another class", *["ok"] * 4, "no map for another class"]
    assert np.isnan(found.values).tolist() == [True, False, False, False, False, True]


def test_a_model_of_one_class_has_no_other() -> None:
    subject = Subject(nn.Sequential(nn.Flatten(), nn.Linear(768, 1)))
    with pytest.raises(MetricError, match="the model has one"):
        OtherClass(BatchConfig()).score(
            subject, images_of(1), torch.tensor([0]), torch.rand(1, 16, 16), Given(["a"], explain=brightness)
        )


# Max-Sensitivity


def test_max_sensitivity_is_the_largest_relative_change_over_the_draws() -> None:
    seen: list[Tensor] = []

    def watched(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        seen.append(images.clone())
        return images.sum(1)

    found = score(MaxSensitivity(SensitivityConfig(batch_size=7, draws=9)), steady(), watched)
    clean, nearby = seen[0], torch.stack(seen[1:], 1)
    assert nearby.shape == (6, 9, 3, 16, 16)
    own, changed = clean.sum(1), nearby.sum(2)
    ratios = (changed - own[:, None]).flatten(2).norm(dim=2) / own.flatten(1).norm(dim=1)[:, None]
    assert found.values == pytest.approx(ratios.max(1).values.tolist(), rel=1e-5)


def test_max_sensitivity_is_captums_on_the_same_draws() -> None:
    seen: list[Tensor] = []

    def smooth(_subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return (3 * images).sin().sum(1) + targets[:, None, None] / 2

    def watched(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        seen.append(images.clone())
        return smooth(subject, images, targets)

    found = score(MaxSensitivity(SensitivityConfig(draws=7, radius=9)), steady(), watched)
    draws = torch.stack(seen[1:], 1).flatten(0, 1)

    def explained(inputs: Any, target: Tensor) -> tuple[Tensor]:
        return (smooth(steady(), inputs[0] if isinstance(inputs, tuple) else inputs, target),)

    theirs = sensitivity_max(
        explained,
        images_of(6),
        perturb_func=lambda _repeated: draws,
        n_perturb_samples=7,
        target=torch.arange(6) % CLASSES,
    )
    assert found.values == pytest.approx(theirs.tolist(), rel=1e-5)
    assert np.ptp(found.values) > 1e-3, "images differ"


def steady() -> Subject:
    """A network that always predicts class 1."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(768, CLASSES))
    nn.init.zeros_(module[1].weight)
    with torch.no_grad():
        module[1].bias.copy_(torch.arange(CLASSES) == 1)
    return Subject(module, (), MEAN, STD)


def test_draws_lie_in_the_ball_of_2_grey_levels_and_between_black_and_white() -> None:
    seen: list[Tensor] = []

    def watched(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        seen.append(images.clone())
        return images.sum(1)

    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (MEAN, STD))
    images = (torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - mean) / std
    images[0] = -mean / std
    given = Given(["a", "b", "c", "d"], explain=watched)
    MaxSensitivity(SensitivityConfig()).score(steady(), images, torch.ones(4).long(), images.sum(1), given)
    pixels = torch.stack(seen, 1) * std + mean
    change = (pixels - (images * std + mean)[:, None]) * 255
    assert float(pixels.min()) >= -1e-6
    assert float(pixels.max()) <= 1 + 1e-6
    assert 1.99 < float(change.max()) <= 2.001
    assert -2.001 <= float(change[1:].min()) < -1.99
    assert float(change[1:].std()) == pytest.approx(2 / 3**0.5, rel=0.02), "uniform"
    assert float(change[0].min()) > -1e-4, "there is nothing blacker than black"


def test_an_image_with_a_draw_that_flips_the_prediction_is_left_out() -> None:
    """Class 1 where the corner is as it was or brighter: about half of the draws flip; their maps are far off."""

    class Corner(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            brighter = images[:, 0, 0, 0] - corner
            return torch.stack([-brighter - 1e-6, brighter], 1)

    images = images_of(1).expand(30, -1, -1, -1)
    corner = images[0, 0, 0, 0]

    def explain(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        off = torch.where(images[:, 0, 0, 0] < corner - 1e-6, 100.0, 1.1)
        return off[:, None, None] * maps[:1].expand(len(images), -1, -1)

    maps = torch.rand(30, 16, 16)[:1].expand(30, -1, -1)
    given = Given([f"image {i}" for i in range(30)], explain=explain)
    subject, targets = Subject(Corner(), (), MEAN, STD), torch.ones(30).long()
    found = MaxSensitivity(SensitivityConfig(draws=2)).score(subject, images, targets, maps, given)
    flips = [word == "prediction flips" for word in found.status]
    assert 15 <= sum(flips) <= 28, "of a quarter of the images, neither of two draws flips"
    assert np.isnan(found.values).tolist() == flips
    assert [v for v, flip in zip(found.values, flips, strict=True) if not flip] == pytest.approx(
        [0.1] * (30 - sum(flips)), abs=1e-5
    )
