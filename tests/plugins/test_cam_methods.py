"""Every CAM method gives pytorch-grad-cam's maps on the same layer, on convolutions and on tokens, to 1e-4."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam
import timm
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils import svd_on_activations
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget, FinerWeightedTarget
from sklearn.decomposition import KernelPCA
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.contracts import Subject
from xaitool.errors import ExplainError
from xaitool.grid import grid_of
from xaitool.layers import find_layers
from xaitool_gradcam.config import Config, FullGradConfig
from xaitool_gradcam.explainers import CAM, METHODS
from xaitool_gradcam.fullgrad import FullGrad
from xaitool_gradcam.projections import eigengradcam

CLASSES = 6
SIDE = 64

LIBRARY: dict[str, Any] = {
    "gradcam": pytorch_grad_cam.GradCAM,
    "gradcam++": pytorch_grad_cam.GradCAMPlusPlus,
    "hirescam": pytorch_grad_cam.HiResCAM,
    "layercam": pytorch_grad_cam.LayerCAM,
    "xgradcam": pytorch_grad_cam.XGradCAM,
    "gradcam_elementwise": pytorch_grad_cam.GradCAMElementWise,
    "eigencam": pytorch_grad_cam.EigenCAM,
    "eigengradcam": pytorch_grad_cam.EigenGradCAM,
    "kpcacam": pytorch_grad_cam.KPCA_CAM,
    "fem": pytorch_grad_cam.FEM,
    "shapleycam": pytorch_grad_cam.ShapleyCAM,
    "finercam": pytorch_grad_cam.FinerCAM,
    "scorecam": pytorch_grad_cam.ScoreCAM,
    "ablationcam": pytorch_grad_cam.AblationCAM,
}
# The library's sign is whatever the linear algebra library gives.
ARBITRARY_SIGN = ("eigencam", "eigengradcam", "kpcacam")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """Convolutions with batch norms as if trained, and a head that is not linear, so that its curvature matters."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.late = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.Linear(12, 16), nn.GELU(), nn.Linear(16, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(10 * self.late(self.early(images)).mean((2, 3)))


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    match kind:
        case "cnn":
            module: nn.Module = Net()
        case "vit":
            module = timm.create_model(
                "vit_tiny_patch16_224", img_size=SIDE, depth=3, embed_dim=24, num_heads=2, num_classes=CLASSES
            )
        case _:
            module = timm.create_model(
                "swin_tiny_patch4_window7_224",
                img_size=SIDE,
                depths=(1, 1),
                embed_dim=12,
                num_heads=(1, 2),
                num_classes=CLASSES,
            )
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            part.running_mean.normal_(std=0.3)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.3)
    return module.eval()


LAYERS = {"cnn": "late", "vit": "blocks.2.norm1", "swin": "norm"}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def targets() -> Tensor:
    return torch.tensor([4, 1, 3])


def explain(name: str, module: nn.Module, layer: str, images: Tensor, targets: Tensor, **options: Any) -> Tensor:
    return CAM(name, Config(layers=(layer,), **options)).explain(Subject(module), images, targets)


def library(name: str, module: nn.Module, layer: str, images: Tensor, wanted: list[Any], sign: Any = 1) -> Tensor:
    """The library's maps, on a copy of the model, its grids brought into shape as its readme does it."""
    module = copy.deepcopy(module).requires_grad_(True)

    def reshape(output: Tensor) -> Tensor:
        grid = grid_of(output, (SIDE, SIDE))
        assert grid
        return grid.view(output)

    with contextlib.redirect_stderr(io.StringIO()):
        cam = LIBRARY[name](model=module, target_layers=[module.get_submodule(layer)], reshape_transform=reshape)
        if name in ARBITRARY_SIGN:
            image = cam.get_cam_image
            cam.get_cam_image = lambda *given: sign(image(*given))
        return torch.from_numpy(np.asarray(cam(input_tensor=images, targets=wanted)))


def classes(targets: Tensor) -> list[Any]:
    return [ClassifierOutputTarget(int(target)) for target in targets]


def enlarged_and_scaled(raw: Tensor) -> Tensor:
    """N×h×w, at least one value in each above zero, from 0 to 1 on its grid, then at the image's size."""

    def scaled(maps: Tensor) -> Tensor:
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        return (maps - low) / (high - low + 1e-12)

    return scaled(F.interpolate(scaled(raw)[:, None], (SIDE, SIDE), mode="bilinear")[:, 0])


def off(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


# On tokens, the library's ShapleyCAM does not bring activations into shape, and its Ablation-CAM puts -1e7 in place of
# zero; both are checked otherwise below.
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in LIBRARY
        for kind in LAYERS
        if name not in (*ARBITRARY_SIGN, "finercam") and (kind == "cnn" or name not in ("shapleycam", "ablationcam"))
    ],
)
def test_maps_are_the_librarys(name: str, kind: str, images: Tensor, targets: Tensor) -> None:
    module = network(kind)
    with torch.no_grad():
        if name == "ablationcam":  # the library's are upside down where the class's score is below zero
            module.head[2].bias.add_(20)
            assert (module(images).gather(1, targets[:, None]) > 0).all()
    maps = explain(name, module, LAYERS[kind], images, targets)
    assert off(maps, library(name, module, LAYERS[kind], images, classes(targets))) <= 1e-4
    assert (maps.amax((1, 2)) > 0.9).sum() >= 2, "there is something to compare"


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ARBITRARY_SIGN)
def test_projections_are_the_librarys_but_for_their_sign(name: str, kind: str, images: Tensor, targets: Tensor) -> None:
    module = network(kind)
    maps = explain(name, module, LAYERS[kind], images, targets)
    either = [
        library(name, module, LAYERS[kind], images, classes(targets), sign) for sign in (np.positive, np.negative)
    ]
    for image in range(len(images)):
        assert min(off(maps[image], each[image]) for each in either) <= 1e-4
        assert off(either[0][image], either[1][image]) > 0.1, "the sign matters"


def test_signs_of_projections(images: Tensor, targets: Tensor) -> None:
    """Eigen-CAM: the largest value is positive, by the library's own rule. Eigen-Grad-CAM: evidence is."""
    module = network("cnn")
    with torch.no_grad():
        activations = module.late(module.early(images))
    right = svd_on_activations.get_2d_projection_with_sign_correction(activations.numpy()).clip(min=0)
    right = F.interpolate(torch.from_numpy(right)[:, None], (SIDE, SIDE), mode="bilinear")[:, 0]
    assert off(explain("eigencam", module, "late", images, targets), right / right.amax((1, 2), True)) <= 1e-4
    gradients = torch.randn(activations.shape, generator=torch.Generator().manual_seed(2))
    view: Any = SimpleNamespace(activations=lambda _layer: activations, gradients=lambda _layer: gradients)
    component, evidence = eigengradcam(view, "late"), gradients * activations
    theirs = torch.from_numpy(svd_on_activations.get_2d_projection(evidence.numpy()))
    assert off(component.abs(), theirs.abs()) <= 1e-4
    total = evidence.sum(1) - evidence.sum(1).mean((1, 2), keepdim=True)
    assert ((component * total).sum((1, 2)) > 0).all()


def test_kernel_pca_is_scikit_learns(images: Tensor, targets: Tensor) -> None:
    module = network("cnn")
    with torch.no_grad():
        activations = module.late(module.early(images[:1]))[0].flatten(1).T.numpy()
    centred = activations - activations.mean(0)
    component = KernelPCA(1, kernel="sigmoid").fit_transform(centred)[:, 0].reshape(1, 1, 16, 16).clip(min=0)
    right = F.interpolate(torch.from_numpy(component), (SIDE, SIDE), mode="bilinear")[0, 0]
    assert off(explain("kpcacam", module, "late", images[:1], targets[:1])[0], (right / right.max()).float()) <= 1e-4


@pytest.mark.parametrize("kind", LAYERS)
def test_shapley_cam_takes_half_the_curvature_along_the_activations(kind: str, images: Tensor, targets: Tensor) -> None:
    """The Hessian-vector product as a difference of gradients, in float64."""
    module, doubled = network(kind), network(kind).double()
    seen: list[Tensor] = []

    def gradient(scale: float) -> Tensor:
        def stretched(_layer: Any, _inputs: Any, output: Tensor) -> Tensor:
            seen[:] = [output.detach().clone(), (output.detach() * scale).requires_grad_()]
            return seen[1].clone()

        hook = doubled.get_submodule(LAYERS[kind]).register_forward_hook(stretched)
        scores = doubled(images.double()).gather(1, targets[:, None]).sum()
        hook.remove()
        return torch.autograd.grad(scores, seen[1])[0]

    step = 1e-4
    product = (gradient(1 + step) - gradient(1 - step)) / (2 * step)
    grid = grid_of(seen[0], (SIDE, SIDE))
    assert grid
    weights = grid.view(gradient(1) - product / 2).mean((2, 3))
    raw = torch.einsum("nc,nchw->nhw", weights, grid.view(seen[0])).clamp(min=0)
    right = enlarged_and_scaled(raw).float()
    assert off(explain("shapleycam", module, LAYERS[kind], images, targets), right) <= 1e-4
    straight = kind == "swin"  # a mean and a linear layer are all that comes after its last norm
    assert (off(explain("gradcam", module, LAYERS[kind], images, targets), right) > 1e-2) is not straight


@pytest.mark.parametrize("kind", LAYERS)
def test_finer_cam_contrasts_with_the_three_classes_most_like_the_target(
    kind: str, images: Tensor, targets: Tensor
) -> None:
    module = network(kind)
    logits = module(images).detach()
    wanted = []
    for row, target in zip(logits, targets.tolist(), strict=True):
        similar = sorted(
            (other for other in range(CLASSES) if other != target), key=lambda c: abs(row[c] - row[target])
        )
        wanted.append(FinerWeightedTarget(target, similar[:3], 1))
    maps = explain("finercam", module, LAYERS[kind], images, targets)
    assert off(maps, library("finercam", module, LAYERS[kind], images, wanted)) <= 1e-4
    assert off(maps, explain("gradcam", module, LAYERS[kind], images, targets)) > 0.05


@pytest.mark.parametrize("kind", LAYERS)
def test_grad_cam_is_captums(kind: str, images: Tensor, targets: Tensor) -> None:
    module = network(kind)
    if kind == "cnn":
        raw = LayerGradCam(module, module.late).attribute(images, targets, relu_attributions=True)
    else:
        # captum takes the mean over all but the first two axes: channels have to be second.
        class Channels(nn.Module):
            def forward(self, output: Tensor) -> Tensor:
                return output

        layer, seen = module.get_submodule(LAYERS[kind]), Channels()
        prefix = 1 if kind == "vit" else 0

        def through(_layer: Any, _inputs: Any, output: Tensor) -> Tensor:
            if kind == "vit":
                grid = seen(output[:, prefix:].mT.unflatten(2, (4, 4))).flatten(2).mT
                return torch.cat([output[:, :prefix], grid], 1)
            return seen(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

        layer.register_forward_hook(through)
        module.seen = seen
        raw = LayerGradCam(module, seen).attribute(images, targets, relu_attributions=True)
    maps = explain("gradcam", network(kind), LAYERS[kind], images, targets)
    assert off(maps, enlarged_and_scaled(raw.detach()[:, 0])) <= 1e-4
    assert (maps.amax((1, 2)) > 0.9).sum() >= 2, "there is something to compare"


# Those that mask: what they do, and in how few forward passes


@pytest.fixture
def counted() -> tuple[nn.Module, list[tuple[str, int]]]:
    """The network, and how many images pass which part of it, call by call."""
    module = network("cnn")
    passed: list[tuple[str, int]] = []
    for name in ("early", "head"):
        module.get_submodule(name).register_forward_pre_hook(
            lambda _module, inputs, name=name: passed.append((name, len(inputs[0])))
        )
    return module, passed


def total(passed: list[tuple[str, int]], part: str) -> int:
    return sum(images for name, images in passed if name == part)


def test_score_cam_passes_each_live_channel_once(
    counted: tuple[nn.Module, list[tuple[str, int]]], images: Tensor, targets: Tensor
) -> None:
    module, passed = counted
    with torch.no_grad():
        module.late[1].weight[:4] = 0  # four channels show nothing, or the same everywhere
    right = library("scorecam", network("cnn"), "late", images[:1], classes(targets[:1]))
    maps = explain("scorecam", module, "late", images, targets, batch_size=5)
    assert total(passed, "head") == 3 * (1 + 8 + 1)  # one to look, eight channels, one black image for the others
    assert max(count for _, count in passed) == 5
    assert off(maps[:1], right) > 1e-3, "other weights, other maps"
    dead = library("scorecam", module, "late", images, classes(targets))
    assert off(maps, dead) <= 1e-4


def test_ablation_runs_again_only_what_comes_after_the_layer(
    counted: tuple[nn.Module, list[tuple[str, int]]], images: Tensor, targets: Tensor
) -> None:
    module, passed = counted
    explain("ablationcam", module, "late", images, targets, batch_size=64)
    assert total(passed, "head") >= 3 * 12
    assert total(passed, "early") <= 3 + 1 + 3, "once to look, once to try, once an image"


class Beside(nn.Module):
    """A network that concatenates what comes before the layer with what comes after it."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(3, 4, 3, 2, 1)
        self.late = nn.Sequential(nn.Conv2d(4, 5, 3, 1, 1), nn.ReLU())
        self.head = nn.Linear(9, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        early = self.early(images)
        return 3 + self.head(torch.cat([early, self.late(early)], 1).mean((2, 3)))


def test_ablation_where_one_image_is_not_enough(images: Tensor, targets: Tensor) -> None:
    torch.manual_seed(0)
    module = Beside().eval()
    maps = explain("ablationcam", module, "late", images, targets)
    assert off(maps, library("ablationcam", module, "late", images, classes(targets))) <= 1e-4


@pytest.mark.parametrize("kind", LAYERS)
def test_ablation_is_the_score_less_the_score_without_the_channel(kind: str, images: Tensor, targets: Tensor) -> None:
    """Also where activations or the score are below zero, which the library takes to mean something else."""
    module = network(kind)
    layer = module.get_submodule(LAYERS[kind])
    seen: list[Tensor] = []
    layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output.detach()))
    with torch.no_grad():
        before = module(images).gather(1, targets[:, None])[:, 0]
        grid = grid_of(seen[0], (SIDE, SIDE))
        assert grid
        activations = grid.view(seen[0]).clone()
        drops = []
        for channel in range(activations.shape[1]):
            output = seen[0].clone()
            grid.view(output)[:, channel] = 0
            hook = layer.register_forward_hook(lambda *_, output=output: output)
            drops.append(before - module(images).gather(1, targets[:, None])[:, 0])
            hook.remove()
    raw = torch.einsum("cn,nchw->nhw", torch.stack(drops), activations).clamp(min=0)
    maps = explain("ablationcam", network(kind), LAYERS[kind], images, targets)
    assert off(maps, enlarged_and_scaled(raw)) <= 1e-4
    assert (maps.amax((1, 2)) > 0.9).sum() >= 2, "there is something to compare"


# FullGrad


def test_full_grad_is_the_librarys(images: Tensor, targets: Tensor) -> None:
    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network("cnn")

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images)

    module = Convolutional().eval()
    maps = FullGrad(FullGradConfig(batch_size=2)).explain(Subject(module), images, targets)
    reference = copy.deepcopy(module)
    for part in reference.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    with contextlib.redirect_stdout(io.StringIO()):
        right = torch.from_numpy(
            pytorch_grad_cam.FullGrad(reference, [])(input_tensor=images.clone(), targets=classes(targets))
        )
    assert off(maps, right) <= 1e-4


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_full_grad_counts_the_biases_of_transformers(kind: str, images: Tensor, targets: Tensor) -> None:
    module = network(kind)
    maps = FullGrad(FullGradConfig()).explain(Subject(module), images, targets)
    assert maps.isfinite().all()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias") and "head" not in name:
                parameter.add_(0.1)
    assert off(FullGrad(FullGradConfig()).explain(Subject(module), images, targets), maps) > 1e-2


# One forward pass for all


def questions(targets: Tensor, *names: str) -> list[tuple[CAM, Tensor]]:
    predicted = (targets + 1) % CLASSES
    return [(CAM(name, Config(layers=("late",))), each) for name in names for each in (targets, predicted)]


def test_several_methods_and_targets_share_a_forward_pass(
    counted: tuple[nn.Module, list[tuple[str, int]]], images: Tensor, targets: Tensor
) -> None:
    module, passed = counted
    quick = [name for name in METHODS if name not in ("scorecam", "ablationcam")]
    asked = questions(targets, *quick)
    together = asked[0][0].explain_together(Subject(module), images, asked)
    assert passed == [("early", 3), ("head", 3)]
    for (cam, each), maps in zip(asked, together, strict=True):
        assert torch.equal(maps, cam.explain(Subject(module), images, each))


def test_methods_that_look_at_different_layers_share_too(images: Tensor, targets: Tensor) -> None:
    subject = Subject(network("cnn"))
    asked = [
        (CAM(name, Config(layers=(layer,))), targets) for name in ("gradcam", "fem") for layer in ("late", "early")
    ]
    together = asked[0][0].explain_together(subject, images, asked)
    for (cam, each), maps in zip(asked, together, strict=True):
        assert off(maps, cam.explain(subject, images, each)) <= 1e-6


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", LAYERS)
def test_left_to_itself_each_method_finds_a_layer(name: str, kind: str, images: Tensor, targets: Tensor) -> None:
    module = network(kind)
    subject = Subject(module)
    cam = CAM(name, Config())
    maps = cam.explain(subject, images, targets)
    assert maps.shape == (3, SIDE, SIDE)
    assert maps.isfinite().all()
    last = find_layers(module, images)[0]
    assert cam.native_size(subject, images) == last.grid.size
    assert torch.equal(maps, explain(name, network(kind), last.name, images, targets))
    assert (maps.amax((1, 2)) > maps.amin((1, 2))).any()


def test_a_wrong_target_among_several_questions(images: Tensor, targets: Tensor) -> None:
    asked = [*questions(targets, "gradcam"), (CAM("fem", Config(layers=("late",))), torch.tensor([0, 1, CLASSES]))]
    with pytest.raises(ExplainError, match=r"targets lie in 0\.\.6, the model's classes in 0\.\.5"):
        asked[0][0].explain_together(Subject(network("cnn")), images, asked)
