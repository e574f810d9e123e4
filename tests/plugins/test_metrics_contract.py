"""What all twelve metrics promise: what they do with odd maps, odd input, little memory, and a model that is lent."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Given, Metric, Scores, Subject
from xaitool.errors import MetricError
from xaitool_metrics import xaitool_metrics
from xaitool_metrics.batches import in_batches

COMPONENTS = {component.name: component for component in xaitool_metrics()}
RUN_THE_MODEL = ("deletion", "insertion", "abpc", "road", "randomisation", "other_class", "max_sensitivity")
NUMBER, SIZE, CLASSES = 7, 10, 4

every_metric = pytest.mark.parametrize("name", COMPONENTS)


class Network(nn.Module):
    """Fails for want of memory, as CUDA and the CPU do, at more than `most` images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8 * SIZE * SIZE, CLASSES)
        self.most = 10**6
        self.error: type[RuntimeError] = RuntimeError
        self.message = ""
        self.largest = 0

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise self.error(self.message)
        self.largest = max(self.largest, len(images))
        return 3 * self.head(self.features(images).flatten(1))  # type: ignore[no-any-return]


def input_times_gradient(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    with torch.inference_mode(False), borrowed(subject.module), torch.enable_grad():
        inputs = images.clone().requires_grad_()
        logits = subject.module.eval()(inputs)
        (gradient,) = torch.autograd.grad(logits.gather(1, targets.clone()[:, None]).sum(), inputs)
        return (gradient * inputs.detach()).sum(1)


def one_by_one(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
    """The same in batches of its own."""
    pairs = zip(images.split(1), targets.split(1), strict=True)
    return torch.cat([input_times_gradient(subject, *each) for each in pairs])


class Problem:
    """Images, maps and all else that a metric may ask for."""

    def __init__(self, number: int = NUMBER) -> None:
        source = torch.Generator().manual_seed(1)
        self.subject = Subject(Network().eval(), (), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
        self.images = (torch.rand(number, 3, SIZE, SIZE, generator=source) - 0.4) / 0.25
        self.targets = torch.arange(number) % CLASSES
        self.maps = torch.randn(number, SIZE, SIZE, generator=source).clamp(min=-0.3)
        self.ids = [f"image {i}" for i in range(number)]
        self.mask = torch.rand(number, SIZE, SIZE, generator=source) < 0.3
        self.explain = input_times_gradient

    def given(self) -> Given:
        return Given(self.ids, 5, self.mask, self.explain, (5, 5))

    def rows(self, rows: list[int]) -> Problem:
        some = copy.copy(self)
        some.images, some.targets = self.images[rows], self.targets[rows]
        some.maps, some.mask = self.maps[rows], self.mask[rows]
        some.ids = [self.ids[row] for row in rows]
        return some

    def score(self, name: str, **options: Any) -> Scores:
        given = self.given()
        found: Scores = build(name, **options).score(self.subject, self.images, self.targets, self.maps, given)
        return found


def build(name: str, **options: Any) -> Metric:
    component = COMPONENTS[name]
    metric: Metric = component.load_factory()(component.load_config()(**options))
    return metric


@every_metric
def test_each_metric_is_one_and_scores_every_image_within_its_range(name: str) -> None:
    metric, found = build(name), Problem().score(name)
    assert isinstance(metric, Metric)
    low, high = metric.range
    assert list(found.status) == ["ok"] * NUMBER
    assert all(low <= value <= high for value in found.values)
    assert max(found.values) - min(found.values) > 1e-3, "images differ"
    assert all(isinstance(value, float) for value in found.values)


@every_metric
def test_neither_order_nor_company_changes_a_score(name: str) -> None:
    whole = dict(zip(Problem().ids, Problem().score(name).values, strict=True))
    for rows in ([3, 0, 6, 2, 5, 1, 4], [2], [6, 1]):
        part = Problem().rows(rows)
        for image, value in zip(part.ids, part.score(name).values, strict=True):
            assert value == pytest.approx(whole[image], abs=1e-6)


@pytest.mark.parametrize("name", RUN_THE_MODEL)
def test_the_batch_size_changes_no_score_and_is_kept_to(name: str) -> None:
    whole = Problem().score(name).values
    for size in (1, 5):
        problem = Problem()
        problem.explain = one_by_one
        assert problem.score(name, batch_size=size).values == pytest.approx(whole, abs=1e-6)
        assert problem.subject.module.largest <= size


@pytest.mark.parametrize("name", RUN_THE_MODEL)
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.cuda.OutOfMemoryError, "no more"),
        (RuntimeError, "MPS backend out of memory"),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_batches_are_halved_where_memory_runs_out(name: str, error: type[RuntimeError], message: str) -> None:
    whole, tight = Problem(11).score(name).values, Problem(11)
    tight.subject.module.most, tight.subject.module.error, tight.subject.module.message = 8, error, message
    assert tight.score(name).values == pytest.approx(whole, abs=1e-6)


def test_other_errors_and_a_single_image_that_does_not_fit_are_raised() -> None:
    sizes: list[int] = []

    def never(indices: Tensor) -> Tensor:
        sizes.append(len(indices))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        in_batches(never, 9, 8, like=torch.zeros(1))
    assert sizes == [8, 4, 2, 1]
    problem = Problem()
    problem.subject.module.most, problem.subject.module.message = 3, "shapes cannot be multiplied"
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        problem.score("deletion")


@every_metric
@pytest.mark.parametrize("training", [False, True])
def test_the_model_and_the_random_state_come_back_as_they_were(name: str, training: bool) -> None:
    problem = Problem()
    module = problem.subject.module.train(training)
    module.head.requires_grad_(False)
    module.features[0].weight.grad = torch.ones_like(module.features[0].weight)
    values, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    found = problem.score(name)
    assert torch.get_rng_state().equal(state)
    assert all(part.training == training for part in module.modules())
    assert [each.requires_grad for each in module.parameters()] == [True] * 4 + [False] * 2
    assert module.features[0].weight.grad.eq(1).all()
    assert all(value.equal(values[key]) for key, value in module.state_dict().items())
    assert found.values == Problem().score(name).values, "scored in eval mode"


@every_metric
def test_constant_and_broken_maps_have_a_status_and_no_value(name: str) -> None:
    problem = Problem()
    problem.maps[0], problem.maps[2], problem.maps[4, 1, 1], problem.maps[5, 0, 0] = 0, 0.7, float("nan"), float("inf")
    found = problem.score(name)
    words = ["constant map", "ok", "constant map", "ok", "non-finite map", "non-finite map", "ok"]
    assert list(found.status) == words
    assert [math.isnan(value) for value in found.values] == [word != "ok" for word in words]
    assert [found.values[i] for i in (1, 3, 6)] == pytest.approx([Problem().score(name).values[i] for i in (1, 3, 6)])


@every_metric
def test_no_images_have_no_scores(name: str) -> None:
    found = Problem(0).score(name)
    assert list(found.values) == []
    assert list(found.status) == []


@every_metric
@pytest.mark.parametrize("what", ["images", "targets", "maps", "ids"])
def test_shapes_that_do_not_agree_are_an_error(name: str, what: str) -> None:
    problem = Problem()
    setattr(problem, what, getattr(problem, what)[:-1])
    with pytest.raises(MetricError, match=r"must be|need one id each"):
        problem.score(name)


@every_metric
def test_what_a_metric_needs_and_does_not_get_is_an_error(name: str) -> None:
    problem, metric = Problem(), build(name)
    for need, field in (("mask", "mask"), ("explainer", "explain")):
        given: Given = replace(problem.given(), **{field: None})
        if need in metric.needs:
            with pytest.raises(MetricError, match=need):
                metric.score(problem.subject, problem.images, problem.targets, problem.maps, given)
        else:
            metric.score(problem.subject, problem.images, problem.targets, problem.maps, given)


@pytest.mark.parametrize("name", ["deletion", "insertion", "abpc", "road"])
@pytest.mark.parametrize("target", [-1, CLASSES])
def test_a_target_out_of_range_is_an_error(name: str, target: int) -> None:
    problem = Problem()
    problem.targets[3] = target
    with pytest.raises(MetricError, match=r"classes in 0\.\.3"):
        problem.score(name)


@every_metric
def test_scores_follow_the_seed_where_anything_is_random_and_work_in_inference_mode(name: str) -> None:
    problem, metric, usual = Problem(), build(name), Problem().score(name).values
    with torch.inference_mode():
        assert problem.score(name).values == pytest.approx(usual, abs=1e-6)
    other = metric.score(
        problem.subject, problem.images, problem.targets, problem.maps, replace(problem.given(), seed=6, memo={})
    )
    same = other.values == pytest.approx(usual, abs=1e-9)
    assert same == (name not in RUN_THE_MODEL), "of the others, none has a tie to break here"
