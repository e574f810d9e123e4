"""captum's methods: captum's own numbers where captum is right, closed forms, and a model that comes back untouched."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any

import captum.attr
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from pydantic import ValidationError
from torch import Tensor, nn
from xaitool.component import Component
from xaitool.contracts import Explainer, Subject
from xaitool.errors import ExplainError

from xaitool_captum import xaitool_explainers
from xaitool_captum.pixels import blurred

COMPONENTS: dict[str, Component] = {component.name: component for component in xaitool_explainers()}
HOOKED = ("deeplift", "guided_backprop", "lrp")
CLASSES, SIDE = 5, 16
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)

# Quick options, and a plain sum so that attributions can be compared.
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 8},
    "gradient_shap": {"n_samples": 4, "baselines": ("black", "white")},
    "occlusion": {"window": 8, "stride": 4},
}

every_method = pytest.mark.parametrize("method", COMPONENTS)
hooked_methods = pytest.mark.parametrize("method", HOOKED)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def targets() -> Tensor:
    return torch.tensor([0, 1, 4, 2])


def build(method: str, **options: Any) -> Any:
    component = COMPONENTS[method]
    return component.load_factory()(component.load_config()(**{"reduce": "sum", **OPTIONS.get(method, {}), **options}))


def explain(method: str, module: nn.Module, images: Tensor, targets: Tensor, **options: Any) -> Tensor:
    maps: Tensor = build(method, **options).explain(Subject(module, mean=MEAN, std=STD), images, targets)
    return maps


def to_pixels(images: Tensor) -> Tensor:
    return images * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)


def to_images(pixels: Tensor) -> Tensor:
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def off(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a part of the largest value."""
    assert one.shape == other.shape
    return float((one - other).abs().max() / other.abs().max())


def lived_in(module: nn.Module) -> nn.Module:
    """Statistics in the batch norms as if the network had been trained."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 2)
    return module.eval()


class Plain(nn.Module):
    """A network as captum likes it: a module for each layer, each used once, none in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
        self.conv2, self.pool = nn.Conv2d(6, 6, 3), nn.MaxPool2d(2)
        self.conv3, self.relu3 = nn.Conv2d(6, 8, 3), nn.ReLU()
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.conv2(self.relu1(self.conv1(images))))
        return self.head(self.relu3(self.conv3(features)).mean((2, 3)))  # type: ignore[no-any-return]


class Awkward(nn.Module):
    """The same numbers from a network as captum does not like it: one ReLU for all, in place, and functions."""

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.head = plain.conv1, plain.conv2, plain.conv3, plain.head
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        features = F.max_pool2d(self.conv2(self.relu(self.conv1(images))), 2)
        return self.head(F.relu(self.relu(self.conv3(features)), True).mean((2, 3)))  # type: ignore[no-any-return]


class Normalised(nn.Module):
    """Pixel values in, with each step a module, so that captum can be called on it directly."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.normalise = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.normalise.weight.copy_(torch.diag(1 / torch.tensor(STD)).view(3, 3, 1, 1))
            self.normalise.bias.copy_(-torch.tensor(MEAN) / torch.tensor(STD))  # type: ignore[union-attr]
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        return self.module(self.normalise(pixels))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def plain() -> Plain:
    torch.manual_seed(0)
    return Plain().eval()


def by_captum(method: str, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """captum, called as its documentation does, on a copy that takes pixel values."""
    model = Normalised(copy.deepcopy(module)).eval()
    pixels = to_pixels(images)
    black = torch.zeros_like(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match method:
            case "integrated_gradients":
                maps = captum.attr.IntegratedGradients(model).attribute(pixels, black, targets, n_steps=8)
            case "saliency":
                maps = captum.attr.Saliency(model).attribute(pixels, targets, abs=False)
            case "input_x_gradient":
                maps = captum.attr.InputXGradient(model).attribute(pixels, targets)
            case "deeplift":
                maps = captum.attr.DeepLift(model).attribute(pixels, black, targets)
            case "occlusion":
                maps = captum.attr.Occlusion(model).attribute(pixels, (3, 8, 8), (3, 4, 4), black, targets)
            case "guided_backprop":
                maps = captum.attr.GuidedBackprop(model).attribute(pixels, targets)
            case _:
                raise AssertionError(method)
    return maps.detach().sum(1)  # type: ignore[no-any-return]


# captum's own numbers


@pytest.mark.parametrize("method", sorted(COMPONENTS.keys() - {"gradient_shap", "lrp"}))
def test_maps_are_captums(plain: Plain, images: Tensor, targets: Tensor, method: str) -> None:
    assert off(explain(method, plain, images, targets), by_captum(method, plain, images, targets)) <= 1e-5


def test_gradient_shap_is_captums_with_the_same_draws(plain: Plain, images: Tensor, targets: Tensor) -> None:
    model, pixels = Normalised(copy.deepcopy(plain)), to_pixels(images)
    expected = []
    for image, target in zip(pixels.split(1), targets.split(1), strict=True):
        np.random.seed(7)
        torch.manual_seed(7)
        baselines = torch.cat([torch.zeros_like(image), torch.ones_like(image)])
        method = captum.attr.GradientShap(model)
        expected.append(method.attribute(image, baselines, n_samples=4, stdevs=0.05, target=target).detach().sum(1))
    assert off(explain("gradient_shap", plain, images, targets, seed=7), torch.cat(expected)) <= 1e-5


class Ruled(nn.Sequential):
    """A chain that captum's LRP takes as it is."""

    def __init__(self, gamma: float) -> None:
        torch.manual_seed(5)
        norms = [] if gamma else [nn.BatchNorm2d(6)]
        layers = [
            nn.ReLU(),
            nn.Conv2d(6, 6, 3),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, CLASSES, 4),
        ]
        super().__init__(nn.Conv2d(3, 6, 3), *norms, *layers, nn.Flatten())
        lived_in(self)
        self.gamma = gamma

    def ruled(self) -> nn.Module:
        """A copy with captum's rules on its layers."""
        model = Normalised(copy.deepcopy(self))
        for part in model.modules():
            if isinstance(part, nn.Conv2d):
                part.rule = GammaRule(self.gamma)
            elif not list(part.children()) and not isinstance(part, nn.ReLU):
                part.rule = EpsilonRule()
        model.normalise.rule = EpsilonRule()
        return model


@pytest.mark.parametrize("gamma", [0, 0.25, 1])
def test_lrp_is_captums_with_its_rules_set_by_hand(images: Tensor, targets: Tensor, gamma: float) -> None:
    chain = Ruled(gamma)
    pixels = to_pixels(images).requires_grad_()
    expected = captum.attr.LRP(chain.ruled()).attribute(pixels, targets).detach().sum(1)
    assert off(explain("lrp", chain, images, targets, gamma=gamma), expected) <= 1e-4
    if gamma:
        assert off(explain("lrp", chain, images, targets, gamma=0), expected) > 0.1, "gamma matters"


@hooked_methods
def test_reused_modules_functions_and_operations_in_place_do_not_matter(
    plain: Plain, images: Tensor, targets: Tensor, method: str
) -> None:
    assert off(explain(method, Awkward(plain), images, targets), explain(method, plain, images, targets)) <= 1e-5


# Closed forms


class Linear(nn.Module):
    """logits = W · image: every attribution is known."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.head = nn.Linear(3 * SIDE * SIDE, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))  # type: ignore[no-any-return]

    def slope(self, targets: Tensor) -> Tensor:
        """The gradient with respect to pixel values, N×C×H×W."""
        weight = self.head.weight.detach()[targets].view(-1, 3, SIDE, SIDE)
        return weight / torch.tensor(STD).view(3, 1, 1)


def baseline(kind: str, images: Tensor) -> Tensor:
    pixels = to_pixels(images)
    return {
        "black": torch.zeros_like(pixels),
        "white": torch.ones_like(pixels),
        "mean": torch.tensor(MEAN).view(1, 3, 1, 1).expand_as(pixels),
        "blur": blurred(pixels),
    }[kind]


@pytest.mark.parametrize("kind", ["black", "white", "mean", "blur"])
@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient", "deeplift"])
def test_on_a_linear_model_it_is_slope_times_difference_from_the_baseline_in_pixels(
    images: Tensor, targets: Tensor, method: str, kind: str
) -> None:
    module = Linear()
    expected = (module.slope(targets) * (to_pixels(images) - baseline(kind, images))).sum(1)
    assert off(explain(method, module, images, targets, baseline=kind), expected) <= 1e-4


def test_a_picture_equal_to_the_baseline_has_nothing_to_explain(plain: Plain) -> None:
    black = to_images(torch.zeros(1, 3, SIDE, SIDE))
    for method in ("integrated_gradients", "input_x_gradient", "deeplift", "occlusion"):
        assert float(explain(method, plain, black, torch.tensor([1])).abs().max()) <= 1e-6, method
        assert float(explain(method, plain, black, torch.tensor([1]), baseline="white").abs().max()) > 1e-4, method


@pytest.mark.parametrize("method", ["saliency", "guided_backprop"])
def test_on_a_linear_model_the_gradient_is_the_slope(images: Tensor, targets: Tensor, method: str) -> None:
    module = Linear()
    slope = module.slope(targets)
    assert off(explain(method, module, images, targets), slope.sum(1)) <= 1e-5
    assert off(explain(method, module, images, targets, reduce="max_abs"), slope.abs().amax(1)) <= 1e-5
    assert off(explain(method, module, images, targets, reduce="sum_abs"), slope.abs().sum(1)) <= 1e-5


def test_occlusion_of_a_linear_model_is_what_the_window_hides(images: Tensor, targets: Tensor) -> None:
    module = Linear()
    hidden = (module.slope(targets) * to_pixels(images)).sum(1)
    windows = F.avg_pool2d(hidden, 4) * 16
    expected = windows.repeat_interleave(4, 1).repeat_interleave(4, 2)
    maps = explain("occlusion", module, images, targets, window=4, stride=4)
    assert off(maps, 3 * expected) <= 1e-4, "each of the three channels has the window's whole loss"


def test_gradient_shap_of_a_linear_model_without_noise_lies_between_its_baselines(
    images: Tensor, targets: Tensor
) -> None:
    module = Linear()
    maps = explain("gradient_shap", module, images, targets, noise=0, baselines=("black",))
    assert off(maps, (module.slope(targets) * to_pixels(images)).sum(1)) <= 1e-4


@pytest.mark.parametrize("kind", ["black", "blur"])
@pytest.mark.parametrize(("method", "least"), [("deeplift", 1e-4), ("integrated_gradients", 5e-2)])
def test_attributions_sum_to_the_difference_of_the_scores(
    images: Tensor, targets: Tensor, method: str, least: float, kind: str
) -> None:
    module = network("timm")
    maps = explain(method, module, images, targets, baseline=kind, **({"n_steps": 100} if "int" in method else {}))
    with torch.no_grad():
        difference = module(images) - module(to_images(baseline(kind, images)))
    assert off(maps.sum((1, 2)), difference.gather(1, targets[:, None]).flatten()) <= least


# Real networks


@cache  # every test gives it back as it was
def network(kind: str) -> nn.Module:
    torch.manual_seed(2)
    if kind == "timm":
        module = timm.create_model("resnet10t", num_classes=CLASSES)
    else:
        module = torchvision.models.resnet18(num_classes=CLASSES)
    return lived_in(module)


@pytest.mark.parametrize("kind", ["timm", "torchvision"])
@every_method
def test_resnets_work_as_they_are(images: Tensor, targets: Tensor, method: str, kind: str) -> None:
    maps = explain(method, network(kind), images, targets)
    assert maps.shape == (4, SIDE, SIDE)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()
    assert (maps.flatten(1).std(1) > 0).all()
    assert not maps.requires_grad


@pytest.mark.parametrize("kind", ["timm", "torchvision"])
def test_lrp_with_the_epsilon_rule_is_input_x_gradient_across_skip_connections(
    images: Tensor, targets: Tensor, kind: str
) -> None:
    module = network(kind)
    maps = explain("lrp", module, images, targets, gamma=0)
    assert off(maps, explain("input_x_gradient", module, images, targets)) <= 1e-3


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "ceil_mode"),
    [(3, 2, 1, 1, False), (2, 2, 0, 1, True), (3, 1, 1, 2, False), (3, 2, 0, 1, True), ((2, 3), (1, 2), 1, 1, False)],
)
def test_deeplift_is_complete_with_any_max_pooling(
    images: Tensor, targets: Tensor, kernel: Any, stride: Any, padding: int, dilation: int, ceil_mode: bool
) -> None:
    torch.manual_seed(6)
    pool = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    module = nn.Sequential(nn.Conv2d(3, 4, 4), nn.ReLU(), pool, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
    maps = explain("deeplift", module, images, targets)
    with torch.no_grad():
        difference = module(images) - module(to_images(torch.zeros_like(images)))
    assert off(maps.sum((1, 2)), difference.gather(1, targets[:, None]).flatten()) <= 1e-4


# What a method has no rule for


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, CLASSES, 3), nn.Conv2d(3, CLASSES, 3)

    def forward(self, images: Tensor) -> Tensor:
        return (self.conv(images) * self.head(images)).mean((2, 3))  # type: ignore[no-any-return]


@hooked_methods
def test_an_operation_without_a_rule_is_named(images: Tensor, targets: Tensor, method: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 14 * 14, CLASSES))
    with pytest.raises(ExplainError, match="has no rule for 'gelu'"):
        explain(method, module, images, targets)
    with pytest.raises(ExplainError, match="has no rule for 'mul' of two parts"):
        explain(method, Gated(), images, targets)


class Statement(nn.Module):
    """Relies on its ReLU changing what it is given."""

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        self.conv, self.head, self.relu = plain.conv1, nn.Linear(6, CLASSES), nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        self.relu(features)
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]


@hooked_methods
def test_a_model_it_would_get_wrong_is_refused(plain: Plain, images: Tensor, targets: Tensor, method: str) -> None:
    with pytest.raises(ExplainError, match="in place"):
        explain(method, Statement(plain), images, targets)


def test_the_gamma_rule_is_refused_where_it_is_unstable(images: Tensor, targets: Tensor) -> None:
    with pytest.raises(ExplainError, match="unstable with the gamma rule"):
        explain("lrp", network("timm"), images, targets, gamma=0.25)


def test_a_window_larger_than_the_image_is_refused(plain: Plain, images: Tensor, targets: Tensor) -> None:
    with pytest.raises(ExplainError, match="window of 17 pixels is larger than an image of 16 x 16"):
        explain("occlusion", plain, images, targets, window=17)


def test_a_stride_that_skips_pixels_is_no_option() -> None:
    with pytest.raises(ValidationError, match="a stride of 5 skips pixels"):
        build("occlusion", window=4, stride=5)


def test_a_mean_colour_that_nobody_knows_is_refused(plain: Plain, images: Tensor, targets: Tensor) -> None:
    with pytest.raises(ExplainError, match="mean colour"):
        build("deeplift", baseline="mean").explain(Subject(plain), images, targets)


@every_method
@pytest.mark.parametrize("wrong", [[0, 1, 2], [[0, 1, 2, 3]], [0, 1, 2, CLASSES], [0, -1, 2, 3]], ids=str)
def test_wrong_targets_are_refused(plain: Plain, images: Tensor, method: str, wrong: Any) -> None:
    with pytest.raises(ExplainError, match="target"):
        explain(method, plain, images, torch.tensor(wrong))


# The contract


@every_method
def test_it_is_an_explainer_and_knows_no_images_too(plain: Plain, method: str) -> None:
    assert isinstance(build(method), Explainer)
    maps = explain(method, plain, torch.zeros(0, 3, SIDE, SIDE), torch.zeros(0, dtype=torch.int64))
    assert maps.shape == (0, SIDE, SIDE)


@every_method
@pytest.mark.parametrize("context", [nullcontext, torch.no_grad, torch.inference_mode], ids=lambda c: c.__name__)
def test_it_works_on_a_frozen_model_in_any_context(
    plain: Plain, images: Tensor, targets: Tensor, method: str, context: Any
) -> None:
    expected = explain(method, plain, images, targets)
    frozen = copy.deepcopy(plain).requires_grad_(False)
    with context():
        assert off(explain(method, frozen, images * 1, targets * 1), expected) <= 1e-6


@every_method
def test_a_map_depends_neither_on_the_batch_nor_on_what_was_drawn_before(
    images: Tensor, targets: Tensor, method: str
) -> None:
    module = network("timm")
    together = explain(method, module, images, targets)
    torch.rand(3)
    np.random.rand(3)
    assert off(explain(method, module, images, targets, batch_size=1), together) <= 1e-3
    assert off(explain(method, module, images.flip(0), targets.flip(0), batch_size=3).flip(0), together) <= 1e-3


@every_method
def test_it_says_nothing(plain: Plain, images: Tensor, targets: Tensor, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(method, plain, images, targets)


def test_occlusion_says_how_coarse_its_maps_are(plain: Plain, images: Tensor, targets: Tensor) -> None:
    explainer = build("occlusion", window=6, stride=4)
    assert explainer.native_size(Subject(plain), images) == (4, 4)
    assert build("occlusion", window=16, stride=4).native_size(Subject(plain), images) == (1, 1)


# A model that comes back as it was


class Bomb(nn.Module):
    """Draws at random, even in eval mode, and goes off in the pass that it is told to."""

    fuse = -1

    def forward(self, values: Tensor) -> Tensor:
        self.fuse -= 1
        if self.fuse == 0:
            raise RuntimeError("on purpose")
        return values + 0 * float(torch.rand(1))


class Lived(nn.Module):
    """A model with a past: mixed modes, frozen parts, gradients, hooks, statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.bomb = Bomb()
        self.after = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, CLASSES)
        self(torch.randn(2, 3, SIDE, SIDE)).sum().backward()
        self.stem.eval()
        self.stem.requires_grad_(False)
        self.stem[0].bias.grad = None
        self.after.register_forward_hook(lambda _module, _inputs, _output: None)
        self.head.register_full_backward_hook(lambda _module, _inputs, _outputs: None)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.after(self.bomb(self.stem(images))).mean((2, 3)))  # type: ignore[no-any-return]


def condition(module: nn.Module) -> dict[str, Any]:
    """All there is to a module that an explainer could change by mistake."""
    own = {
        name: {
            key: list(value) if isinstance(value, dict) else value for key, value in vars(part).items() if key != "fuse"
        }
        for name, part in module.named_modules()
    }
    return {
        "attributes": own,
        "values": {name: value.clone().tolist() for name, value in module.state_dict().items()},
        "gradients": [(id(each), each.requires_grad, id(each.grad)) for each in module.parameters()],
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index]
    }


@every_method
@pytest.mark.parametrize("fuse", [-1, 1, 2, 3, 4])
def test_the_model_comes_back_as_it_was_also_after_an_error(
    images: Tensor, targets: Tensor, method: str, fuse: int
) -> None:
    module = Lived()
    np.random.seed(99)
    before = condition(module)
    module.bomb.fuse = fuse
    passes = {"saliency": 2, "input_x_gradient": 2, "integrated_gradients": 2}.get(method, 4)
    with pytest.raises(RuntimeError, match="on purpose") if 0 < fuse <= passes else nullcontext():
        explain(method, module, images, targets)
    assert condition(module) == before
