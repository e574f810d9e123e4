"""Grad-CAM and Grad-CAM++: the library's maps, from a model that comes back as it was, or an error that says why."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from xaitool.contracts import Explainer, ModelBundle, Subject
from xaitool.errors import ExplainError, NoGridError
from xaitool_gradcam import xaitool_explainers
from xaitool_gradcam.config import Config
from xaitool_gradcam.explainers import build_gradcam, build_gradcam_plus_plus
from xaitool_timm.config import TimmConfig
from xaitool_timm.models import build_timm

BUILD = {"gradcam": build_gradcam, "gradcam++": build_gradcam_plus_plus}
LIBRARY = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus}
CLASSES = 5

both_methods = pytest.mark.parametrize("method", BUILD)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def resnet(seed: int = 0) -> ModelBundle:
    """A small ResNet from timm, with statistics in its batch norms as if it had been trained."""
    torch.manual_seed(seed)
    config = TimmConfig(layers=(1, 1, 1, 1), widths=(8, 8, 16, 16), stem="cifar")
    bundle = build_timm(config, num_classes=CLASSES, input_size=(3, 16, 16))
    for part in bundle.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 2)
    bundle.module.eval()
    return bundle


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return resnet()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def targets() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 4, 0])


def explain(
    module: nn.Module,
    layers: str | tuple[str, ...],
    images: Tensor,
    targets: Tensor,
    method: str = "gradcam",
    **options: Any,
) -> Tensor:
    layers = (layers,) if isinstance(layers, str) else layers
    return BUILD[method](Config(layers=layers, **options)).explain(Subject(module), images, targets)


def library(
    module: nn.Module, layers: str | tuple[str, ...], images: Tensor, targets: Tensor, method: str = "gradcam"
) -> Tensor:
    """pytorch-grad-cam as its readme calls it, on a copy."""
    module = copy.deepcopy(module).eval().requires_grad_(True)
    layers = (layers,) if isinstance(layers, str) else layers
    with LIBRARY[method](model=module, target_layers=[module.get_submodule(name) for name in layers]) as cam:
        return torch.from_numpy(cam(input_tensor=images, targets=[ClassifierOutputTarget(int(c)) for c in targets]))


def off(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


# The library's maps


@both_methods
@pytest.mark.parametrize(
    "layer", ["conv1", "act1", "layer1", "layer2", "layer2.0.conv2", "layer3", "layer4", "layer4.0.act2"]
)
def test_maps_are_the_librarys(bundle: ModelBundle, images: Tensor, targets: Tensor, method: str, layer: str) -> None:
    maps = explain(bundle.module, layer, images, targets, method)
    assert off(maps, library(bundle.module, layer, images, targets, method)) <= 1e-5
    assert (maps.amax((1, 2)) > 0.9).sum() >= 2, "there is something to compare"


@both_methods
@pytest.mark.parametrize(
    "layers",
    [("layer3", "layer2"), ("layer3", "act1", "layer2"), ("layer4", "layer4.0", "layer4.0.act2"), ("layer1", "layer1")],
    ids="+".join,
)
def test_maps_of_several_layers_are_the_librarys(
    bundle: ModelBundle, images: Tensor, targets: Tensor, method: str, layers: tuple[str, ...]
) -> None:
    maps = explain(bundle.module, layers, images, targets, method)
    assert off(maps, library(bundle.module, layers, images, targets, method)) <= 1e-5
    alone = explain(bundle.module, layers[0], images, targets, method)
    one_output = layers[1] in ("layer1", "layer4.0")  # the same layer again, or one that ends with it
    assert one_output == (off(maps, alone) <= 1e-5), "every layer has its say"


class Branches(nn.Module):
    """Two layers side by side, the first to run being the last to matter."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1)
        self.right = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(10, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        left, right = self.left(images), self.right(images)
        return self.head(torch.cat([right.relu().mean((2, 3)), left.tanh().square().mean((2, 3))], 1))


@both_methods
@pytest.mark.parametrize("layers", [("left", "right"), ("right", "left")], ids="+".join)
def test_layers_side_by_side_get_their_own_gradients(
    images: Tensor, targets: Tensor, method: str, layers: tuple[str, ...]
) -> None:
    torch.manual_seed(3)
    module = Branches()
    maps = explain(module, layers, images, targets, method)
    assert off(maps, library(module, layers, images, targets, method)) <= 1e-5
    mean = torch.stack([explain(module, layer, images, targets, method) for layer in layers]).mean(0)
    assert off(maps, torch.from_numpy(normalised(mean.numpy()))) <= 1e-3


def test_the_methods_differ(bundle: ModelBundle, images: Tensor, targets: Tensor) -> None:
    one, other = (explain(bundle.module, "layer2", images, targets, method) for method in BUILD)
    assert off(one, other) > 0.1


def test_each_component_builds_its_method() -> None:
    for component in xaitool_explainers():
        explainer = component.load_factory()(component.load_config()())
        assert isinstance(explainer, Explainer)
        assert getattr(explainer, "name", "fullgrad") == component.name


def test_left_to_itself_it_looks_at_the_last_layer(bundle: ModelBundle, images: Tensor, targets: Tensor) -> None:
    maps = build_gradcam(Config()).explain(Subject(bundle.module, ("layer3", "layer4")), images, targets)
    assert torch.equal(maps, explain(bundle.module, "layer4", images, targets))


def test_a_model_in_training_mode_is_explained_in_eval_mode(images: Tensor, targets: Tensor) -> None:
    module = resnet().module
    maps = explain(module, "layer2", images, targets)
    module.train()
    assert torch.equal(explain(module, "layer2", images, targets), maps)


# Layers that an in-place operation follows


def without_in_place(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module


@both_methods
def test_an_in_place_relu_does_not_spoil_the_activations(
    bundle: ModelBundle, images: Tensor, targets: Tensor, method: str
) -> None:
    relu = bundle.module.get_submodule("act1")
    assert isinstance(relu, nn.ReLU)
    assert relu.inplace, "timm's ResNets have bn1, then ReLU in place"
    maps = explain(bundle.module, "bn1", images, targets, method)
    right = library(without_in_place(bundle.module), "bn1", images, targets, method)
    assert off(maps, right) <= 1e-5
    assert off(library(bundle.module, "bn1", images, targets, method), right) > 0.1, "the library alone is misled"


class Plain(nn.Module):
    """Convolution, ReLU, mean over the pixels, linear: Grad-CAM has a closed form here."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(images)).mean((2, 3)))


def normalised(maps: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """From 0 to 1, each map by itself, with the library's guard against dividing by zero."""
    maps = maps - maps.min((1, 2), keepdims=True)
    return maps / (1e-7 + maps.max((1, 2), keepdims=True))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("layer", ["conv", "relu"])
def test_grad_cam_is_its_closed_form(images: Tensor, targets: Tensor, layer: str, inplace: bool) -> None:
    torch.manual_seed(2)
    module = Plain(inplace)
    maps = explain(module, layer, images, targets)

    before = module.conv(images).detach().double().numpy()
    weights = module.head.weight.detach().double().numpy()[targets.numpy()] / (16 * 16)
    if layer == "conv":  # the mean over the pixels of w_ck/HW where the ReLU lets it through
        activations, weights = before, weights * (before > 0).mean((2, 3))
    else:
        activations = before.clip(min=0)
    raw = np.einsum("nk,nkhw->nhw", weights, activations).clip(min=0)
    # The map is as large as the image, so nothing is interpolated.
    assert off(maps, torch.from_numpy(normalised(normalised(raw))).float()) <= 1e-5
    assert (maps > 0).any((1, 2)).sum() >= 4, "there is something to compare"


# A model that comes back as it was


class Bomb(nn.Module):
    """Draws at random, even in eval mode, and goes off when told to."""

    armed = False

    def forward(self, values: Tensor) -> Tensor:
        noise = torch.rand(1)
        if self.armed:
            raise RuntimeError("on purpose")
        return values + 0 * noise


class Lived(nn.Module):
    """A model with a past: mixed modes, frozen parts, gradients, hooks, statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.layer = nn.Sequential(nn.Conv2d(4, 6, 3), Bomb(), nn.BatchNorm2d(6))
        self.after = nn.Sequential(nn.ReLU(inplace=True), Bomb(), nn.Dropout(0.5))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.after(self.layer(self.stem(images))).mean((2, 3)))


@pytest.fixture
def lived(images: Tensor) -> Lived:
    torch.manual_seed(4)
    module = Lived()
    module(images).sum().backward()
    module.stem.eval()
    module.layer[2].eval()
    module.stem.requires_grad_(False)
    module.head.bias.requires_grad_(False)
    module.layer[0].bias.grad = None
    module.layer.register_forward_hook(lambda _module, _inputs, _output: None)
    module.layer.register_forward_pre_hook(lambda _module, _inputs: None)
    module.head.register_full_backward_hook(lambda _module, _inputs, _outputs: None)
    module.head.weight.register_hook(lambda _gradient: None)
    return module


def condition(module: nn.Module) -> dict[str, Any]:
    """All there is to a module that an explainer could change by mistake."""
    parts, parameters = list(module.modules()), list(module.parameters())
    return {
        "modes": [part.training for part in parts],
        "requires_grad": [parameter.requires_grad for parameter in parameters],
        "gradients": [parameter.grad for parameter in parameters],
        "hooks": [{name: list(value) for name, value in vars(part).items() if "hooks" in name} for part in parts],
        "tensor hooks": [list(parameter._backward_hooks or ()) for parameter in parameters],
        "identity": [id(tensor) for tensor in (*parameters, *module.buffers())],
    }


def values(module: nn.Module) -> list[Tensor]:
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return [tensor.detach().clone() for tensor in (*module.parameters(), *module.buffers(), *gradients)]


def goes_well(_module: Lived) -> tuple[str, int, type[Exception] | None]:
    return "layer", 0, None


def fails_after_the_layer(module: Lived) -> tuple[str, int, type[Exception] | None]:
    module.after[1].armed = True
    return "layer", 0, RuntimeError


def fails_in_the_layer(module: Lived) -> tuple[str, int, type[Exception] | None]:
    module.layer[1].armed = True
    return "layer", 0, RuntimeError


def has_a_wrong_target(_module: Lived) -> tuple[str, int, type[Exception] | None]:
    return "layer", CLASSES, ExplainError


def has_a_layer_without_maps(_module: Lived) -> tuple[str, int, type[Exception] | None]:
    return "head", 0, ExplainError


def has_no_such_layer(_module: Lived) -> tuple[str, int, type[Exception] | None]:
    return "lair", 0, ExplainError


INCIDENTS = [
    goes_well,
    fails_after_the_layer,
    fails_in_the_layer,
    has_a_wrong_target,
    has_a_layer_without_maps,
    has_no_such_layer,
]


@both_methods
@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.__name__)
def test_the_model_comes_back_as_it_was(
    lived: Lived,
    images: Tensor,
    method: str,
    incident: Callable[[Lived], tuple[str, int, type[Exception] | None]],
) -> None:
    layer, last, error = incident(lived)
    before, contents, random_state = condition(lived), values(lived), torch.get_rng_state()
    assert len(set(before["modes"])) == len(set(before["requires_grad"])) == 2
    assert len({gradient is None for gradient in before["gradients"]}) == 2

    targets = torch.tensor([0, 1, 2, 3, 4, last])
    # The error is kept, and with it whatever its traceback refers to.
    with pytest.raises(error) if error else nullcontext() as _kept:
        explain(lived, ("stem", layer), images, targets, method, batch_size=4)

    after = condition(lived)
    assert all(one is other for one, other in zip(before.pop("gradients"), after.pop("gradients"), strict=True))
    assert after == before
    assert all(torch.equal(one, other) for one, other in zip(contents, values(lived), strict=True))
    assert torch.equal(torch.get_rng_state(), random_state)


@both_methods
def test_the_owners_hooks_still_run(lived: Lived, images: Tensor, targets: Tensor, method: str) -> None:
    plain = explain(lived, "layer", images, targets, method)
    seen: list[Tensor] = []
    lived.layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach().clone()))
    assert torch.equal(explain(lived, "layer", images, targets, method), plain)
    assert len(seen) == 1


# Wherever it is called


@both_methods
def test_explains_a_frozen_model(bundle: ModelBundle, images: Tensor, targets: Tensor, method: str) -> None:
    frozen = copy.deepcopy(bundle.module).requires_grad_(False)
    maps = explain(frozen, "layer2", images, targets, method)
    assert torch.equal(maps, explain(bundle.module, "layer2", images, targets, method))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@both_methods
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_explains_whether_or_not_gradients_are_on(
    bundle: ModelBundle, images: Tensor, targets: Tensor, method: str, mode: Callable[[], torch.no_grad]
) -> None:
    with mode():
        gradients_on = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        # In inference mode these are inference tensors, which no graph may save.
        maps = explain(bundle.module, "layer2", images + 0, targets + 0, method)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == gradients_on
    assert torch.equal(maps, explain(bundle.module, "layer2", images, targets, method))
    assert not maps.requires_grad


@both_methods
def test_explains_inference_tensors(bundle: ModelBundle, images: Tensor, targets: Tensor, method: str) -> None:
    with torch.inference_mode():
        made_there = images.clone()
    assert made_there.is_inference()
    maps = explain(bundle.module, "layer1", made_there, targets, method)
    assert torch.equal(maps, explain(bundle.module, "layer1", images, targets, method))


@both_methods
@pytest.mark.parametrize("layer", ["conv1", "layer2"])
def test_keeps_out_of_the_callers_graph(
    bundle: ModelBundle, images: Tensor, targets: Tensor, method: str, layer: str
) -> None:
    leaf = images.clone().requires_grad_()
    inner = leaf * 1
    inner.retain_grad()
    for some in (leaf, inner):
        maps = explain(bundle.module, layer, some, targets, method)
        assert torch.equal(maps, explain(bundle.module, layer, images, targets, method))
        assert not maps.requires_grad
    assert leaf.grad is None
    assert inner.grad is None


def test_leaves_images_and_targets_alone(images: Tensor, targets: Tensor) -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), Plain(True))
    before = images.clone(), targets.clone()
    explain(module, "1.conv", images, targets)
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])


# Shapes, and batches


@both_methods
def test_a_batch_is_its_images_one_by_one(bundle: ModelBundle, images: Tensor, targets: Tensor, method: str) -> None:
    together = explain(bundle.module, "layer2", images, targets, method)
    single = [explain(bundle.module, "layer2", images[i : i + 1], targets[i : i + 1], method) for i in range(6)]
    assert off(together, torch.cat(single)) <= 1e-5


@both_methods
@pytest.mark.parametrize("size", [1, 4, 5, 6, 7])
def test_the_batch_size_does_not_matter(
    bundle: ModelBundle, images: Tensor, targets: Tensor, method: str, size: int
) -> None:
    batches: list[int] = []
    handle = bundle.module.register_forward_pre_hook(lambda _module, inputs: batches.append(len(inputs[0])))
    maps = explain(bundle.module, "layer2", images, targets, method, batch_size=size)
    handle.remove()
    assert off(maps, explain(bundle.module, "layer2", images, targets, method)) <= 1e-5
    assert sum(batches) == 6
    assert max(batches) == min(size, 6)


@both_methods
@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 12), (9, 17)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_maps_are_float32_and_as_large_as_the_images(
    bundle: ModelBundle, method: str, count: int, height: int, width: int
) -> None:
    images = torch.rand(count, 3, height, width)
    maps = explain(bundle.module, "layer2", images, torch.zeros(count, dtype=torch.int64), method)
    assert maps.shape == (count, height, width)
    assert maps.dtype == torch.float32
    assert maps.device == images.device
    assert not maps.requires_grad
    assert ((maps >= 0) & (maps <= 1)).all()


@both_methods
@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_maps_of_constant_images_are_finite(bundle: ModelBundle, method: str, value: float) -> None:
    images = torch.full((CLASSES, 3, 16, 16), value)
    for layer in ("conv1", "layer3"):
        assert explain(bundle.module, layer, images, torch.arange(CLASSES), method).isfinite().all()


def test_a_class_that_no_pixel_speaks_for_has_a_map_of_zeros(images: Tensor) -> None:
    module = Plain(False)
    with torch.no_grad():
        module.head.weight.fill_(-1.0)
    assert (explain(module, "relu", images[:2], torch.tensor([0, 1])) == 0).all()


# Errors that say what is wrong and what to do


@pytest.mark.parametrize("shape", [(5,), (7,), (0,), (), (6, 1), (6, CLASSES)], ids=str)
def test_a_wrong_number_of_targets(bundle: ModelBundle, images: Tensor, shape: tuple[int, ...]) -> None:
    targets = torch.zeros(shape, dtype=torch.int64)
    with pytest.raises(ExplainError, match=r"6 images need one target each, but the targets have shape \(") as raised:
        explain(bundle.module, "layer2", images, targets)
    assert str(shape) in str(raised.value)


@pytest.mark.parametrize("bad", [-1, CLASSES, 1000])
@pytest.mark.parametrize("size", [2, 64])
def test_a_class_out_of_range(bundle: ModelBundle, images: Tensor, bad: int, size: int) -> None:
    with pytest.raises(ExplainError, match=rf"{bad}\b.*the model's classes in 0\.\.4"):
        explain(bundle.module, "layer2", images, torch.tensor([0, 1, 2, 3, 4, bad]), batch_size=size)


def test_an_unknown_layer(bundle: ModelBundle, images: Tensor, targets: Tensor) -> None:
    with pytest.raises(ExplainError, match=r"no layer 'layer22'; did you mean 'layer2'\?"):
        explain(bundle.module, "layer22", images, targets)
    subject = Subject(bundle.module, ("layer1", "layer2", "layer3", "layer4"))
    with pytest.raises(ExplainError, match=r"no layer 'xyz'; the model suggests .*layer1, layer2, layer3, layer4"):
        build_gradcam(Config(layers=("layer1", "xyz"))).explain(subject, images, targets)


def test_no_layer_to_look_at(images: Tensor, targets: Tensor) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 12), nn.ReLU(), nn.Linear(12, CLASSES))
    with pytest.raises(NoGridError, match=r"no layer whose output is a grid over the image.*; name one with 'layers'"):
        build_gradcam(Config()).explain(Subject(module), images, targets)


def test_where_the_model_names_no_layer_one_is_found(bundle: ModelBundle, images: Tensor, targets: Tensor) -> None:
    maps = build_gradcam(Config()).explain(Subject(bundle.module), images, targets)
    assert torch.equal(maps, explain(bundle.module, "layer4", images, targets))
    assert build_gradcam(Config()).native_size(Subject(bundle.module), images) == (2, 2)


class Odd(nn.Module):
    """A classifier around a layer that CAM methods cannot look at."""

    def __init__(self, layer: nn.Module, use: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.layer = layer
        self.use = use
        self.head = nn.Linear(4, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.use(self.layer, self.conv(images))
        return self.head(features.flatten(2).mean(2))


class Pair(nn.Module):
    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return values, values


@torch.no_grad()
def without_gradient(layer: nn.Module, values: Tensor) -> Tensor:
    return layer(values)


ODD = {
    "maps of 1 x 1": (
        Odd(nn.AdaptiveAvgPool2d(1), lambda layer, values: layer(values)),
        "layer 'layer' gives maps of 1 x 1, which point nowhere; choose an earlier layer",
    ),
    "tokens that form no grid": (
        Odd(nn.Linear(4, 4), lambda layer, values: layer(values.flatten(2).mT[:, 3:]).mT),
        r"layer 'layer' gives \(6, 253, 4\), which holds no grid of the proportions of images of 16 x 16",
    ),
    "vectors": (
        Odd(nn.Identity(), lambda layer, values: values + layer(values.mean((2, 3)))[:, :, None, None]),
        r"layer 'layer' gives \(6, 4\), which holds no grid of the proportions of images of 16 x 16 for each of 6",
    ),
    "a tuple": (
        Odd(Pair(), lambda layer, values: layer(values)[0]),
        "layer 'layer' gives tuple, no tensor; choose another layer",
    ),
    "twice": (
        Odd(nn.ReLU(), lambda layer, values: layer(layer(values) - 1)),
        "layer 'layer' ran 2 times in one forward pass; choose a layer that runs once",
    ),
    "never": (
        Odd(nn.ReLU(), lambda _layer, values: values),
        "layer 'layer' ran 0 times in one forward pass; choose a layer that runs once",
    ),
    "unused": (
        Odd(nn.ReLU(), lambda layer, values: values + 0 * layer(values).detach()),
        "no gradient comes back to layer 'layer' from the class scores; choose a layer they depend on",
    ),
    "no graph": (
        Odd(nn.ReLU(), without_gradient),
        "no gradient comes back to layer 'layer' from the class scores; choose a layer they depend on",
    ),
}


@both_methods
@pytest.mark.parametrize("others", [(), ("conv",)], ids=["alone", "with another"])
@pytest.mark.parametrize("kind", ODD)
def test_a_layer_that_cannot_be_looked_at(
    images: Tensor, targets: Tensor, kind: str, others: tuple[str, ...], method: str
) -> None:
    module, message = ODD[kind]
    if kind == "no graph":
        # Under no_grad the outputs of both layers are leaves, and the first one has no way to the scores either.
        message = message.replace("layer 'layer'", "layer '(layer|conv)'")
    with pytest.raises(ExplainError, match=message):
        explain(module, (*others, "layer"), images, targets, method)
    if kind != "no graph":
        explain(module, "conv", images, targets, method)


@pytest.mark.parametrize("options", [{"layers": []}, {"layers": [""]}, {"layers": "layer4"}, {"batch_size": 0}])
def test_options_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(options)


# Memory


def live_tensors() -> int:
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@both_methods
def test_nothing_piles_up(images: Tensor, targets: Tensor, method: str) -> None:
    module = Plain(True)

    def call() -> None:
        explain(module, ("conv", "relu"), images[:2], targets[:2], method)

    call()
    gc.collect()
    gc.disable()  # nor does it take the garbage collector: on a GPU, memory runs out before that comes round
    try:
        before = live_tensors()
        for _ in range(50):
            call()
        assert live_tensors() == before
    finally:
        gc.enable()
