"""Networks from timm: built as the recipe says, with layers to look at, and clear words where that cannot be."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xaitool
from xaitool.contracts import ModelBundle
from xaitool.engine.seams import Seam
from xaitool.errors import DataUnavailableError, RecipeError, XaitoolError
from xaitool.layers import find_layers
from xaitool.recipe.resolve import Recipe, Resolved
from xaitool_timm.config import ResNet18Config, TimmConfig
from xaitool_timm.models import build_resnet18, build_timm

SMALL, LARGE = (3, 32, 32), (3, 224, 224)
OWN = {"name": "resnet", "layers": (1, 1, 1, 1), "widths": (8, 16, 24, 32)}
RECIPE = "recipe: 1\nname: t\ndataset: shapes\ntrain: {epochs: 1, scheduler: lr_finder_onecycle}\nmodel: "


def resnet18(size: tuple[int, int, int] = SMALL, classes: int = 10, **options: Any) -> ModelBundle:
    return build_resnet18(ResNet18Config(**options), num_classes=classes, input_size=size)


def any_timm(size: tuple[int, int, int] = SMALL, classes: int = 10, **options: Any) -> ModelBundle:
    return build_timm(TimmConfig(**options), num_classes=classes, input_size=size)


def parameters(bundle: ModelBundle) -> int:
    return sum(each.numel() for each in bundle.module.parameters())


def found(bundle: ModelBundle) -> tuple[str, ...]:
    """The layers that the engine finds, from input to output."""
    images = torch.randn(2, *bundle.input_size, generator=torch.Generator().manual_seed(0))
    return tuple(each.name for each in reversed(find_layers(bundle.module, images)))


def outputs(bundle: ModelBundle, batch: int = 2) -> dict[str, torch.Size]:
    """The size of what each CAM layer gives, in the order in which they are reached."""
    sizes: dict[str, torch.Size] = {}
    for name in found(bundle):
        layer = bundle.module.get_submodule(name)
        layer.register_forward_hook(lambda _, __, output, name=name: sizes.update({name: output.shape}))
    with torch.no_grad():
        bundle.module.eval()(torch.randn(batch, *bundle.input_size))
    return sizes


def component(model: str) -> Resolved:
    return Recipe.parse(RECIPE + model).model


# ResNet-18


def test_resnet18_for_small_images() -> None:
    bundle = resnet18(stem="cifar")
    module: Any = bundle.module
    assert parameters(bundle) == 11_173_962
    assert (module.conv1.kernel_size, module.conv1.stride, module.conv1.padding) == ((3, 3), (1, 1), (1, 1))
    assert module.conv1.bias is None
    assert not any(isinstance(part, nn.MaxPool2d) for part in module.modules())
    assert module.fc.out_features == 10
    assert bundle.input_size == SMALL
    assert {name: tuple(size[1:]) for name, size in outputs(bundle).items()} == {
        "layer1": (64, 32, 32),
        "layer2": (128, 16, 16),
        "layer3": (256, 8, 8),
        "layer4": (512, 4, 4),
    }


def test_resnet18_for_large_images() -> None:
    bundle = resnet18(LARGE, classes=1000)
    module: Any = bundle.module
    assert parameters(bundle) == 11_689_512
    assert (module.conv1.kernel_size, module.conv1.stride) == ((7, 7), (2, 2))
    assert isinstance(module.maxpool, nn.MaxPool2d)
    assert bundle.cam_layers == ()  # they are found on real images
    assert found(bundle) == ("act1", "layer1", "layer2", "layer3", "layer4")
    assert outputs(bundle, batch=1)["layer4"] == (1, 512, 7, 7)


def test_a_layer_of_one_pixel_is_none_to_look_at() -> None:
    assert found(resnet18(stem="imagenet")) == ("act1", "layer1", "layer2", "layer3")
    assert found(resnet18((3, 8, 8), stem="imagenet")) == ("act1", "layer1")
    assert found(resnet18((3, 1, 1), stem="imagenet")) == ()


def test_the_stem_is_the_only_difference() -> None:
    small, large = (resnet18(stem=stem).module.state_dict() for stem in ("cifar", "imagenet"))
    assert small.keys() == large.keys()
    assert [name for name in small if small[name].shape != large[name].shape] == ["conv1.weight"]


def test_the_first_convolution_has_he_initial_weights() -> None:
    module: Any = resnet18(stem="cifar").module
    expected = (2 / (3 * 3 * 64)) ** 0.5  # fan-out
    assert abs(module.conv1.weight.std().item() / expected - 1) < 0.1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels(channels: int) -> None:
    bundle = resnet18((channels, 32, 32), stem="cifar", classes=3)
    assert bundle.module(torch.randn(2, channels, 32, 32)).shape == (2, 3)


def test_dropout_before_the_classifier() -> None:
    def differ(bundle: ModelBundle) -> bool:
        images = torch.randn(2, *SMALL)
        for part in bundle.module.modules():  # only dropout is to be random
            part.train(not isinstance(part, nn.BatchNorm2d))
        return not torch.equal(bundle.module(images), bundle.module(images))

    assert not differ(any_timm(**OWN))
    assert differ(any_timm(**OWN, drop_rate=0.5))
    assert differ(any_timm(name="resnet10t", drop_rate=0.5))
    assert differ(resnet18(drop_rate=0.5))


# A ResNet of one's own


def test_a_resnet_of_ones_own() -> None:
    bundle = any_timm(**{**OWN, "layers": (1, 2, 1, 3)}, stem="cifar")
    module: Any = bundle.module
    assert [len(stage) for stage in (module.layer1, module.layer2, module.layer3, module.layer4)] == [1, 2, 1, 3]
    assert {name: tuple(size[1:]) for name, size in outputs(bundle).items()} == {
        "layer1": (8, 32, 32),
        "layer2": (16, 16, 16),
        "layer3": (24, 8, 8),
        "layer4": (32, 4, 4),
    }
    assert (module.conv1.kernel_size, module.conv1.stride, module.conv1.in_channels) == ((3, 3), (1, 1), 3)


def test_a_resnet_of_ones_own_has_the_large_stem_unless_told_otherwise() -> None:
    module: Any = any_timm(**OWN).module
    assert (module.conv1.kernel_size, module.conv1.stride, module.conv1.padding) == ((7, 7), (2, 2), (3, 3))
    assert isinstance(module.maxpool, nn.MaxPool2d)
    assert module.conv1.out_channels == 8
    assert not [name for name, _ in module.named_parameters() if name.startswith("conv1.") and name != "conv1.weight"]


def test_resnet18_by_its_layers_is_resnet18() -> None:
    own = any_timm(name="resnet", layers=(2, 2, 2, 2), widths=(64, 128, 256, 512), stem="cifar")
    theirs = resnet18(stem="cifar").module.state_dict()
    assert {name: value.shape for name, value in own.module.state_dict().items()} == {
        name: value.shape for name, value in theirs.items()
    }


def test_residual_branches_begin_at_work() -> None:
    """With a block or two a stage, a last norm that starts at zero would leave little of the network at first."""
    module: Any = any_timm(**OWN).module
    assert torch.all(module.layer1[0].bn2.weight == 1)


# Any other


@pytest.mark.parametrize(
    "name", ["resnet10t", "mobilenetv3_small_050", "convnext_atto", "regnetx_002", "resnetv2_50", "resnet18.a1_in1k"]
)
def test_any_timm_model_by_name(name: str) -> None:
    bundle = any_timm(name=name, classes=7)
    assert bundle.module(torch.randn(2, *SMALL)).shape == (2, 7)
    sizes = outputs(bundle)
    assert tuple(sizes) == found(bundle)  # from input to output
    assert len(sizes) >= 3
    assert all(len(size) == 4 and size[2] * size[3] > 1 for size in sizes.values())
    heights = [size[2] for size in sizes.values()]
    assert all(before >= after for before, after in itertools.pairwise(heights))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "levit_128s"])
@pytest.mark.parametrize("side", [64, 96])
def test_models_for_one_size_are_made_for_another_and_looked_into(name: str, side: int) -> None:
    assert found(any_timm((3, side, side), name=name))


def test_layers_of_ones_own_choice() -> None:
    assert any_timm(name="resnet10t", cam_layers=["layer2"]).cam_layers == ("layer2",)
    with pytest.raises(XaitoolError, match=r"cam_layers: the model has no layer 'layer9'; did you mean 'layer"):
        any_timm(name="resnet10t", cam_layers=["layer9"])


def test_images_of_a_size_that_a_model_does_not_take() -> None:
    with pytest.raises(XaitoolError) as caught:
        any_timm(name="inception_v3")
    message = str(caught.value)
    assert message.startswith("model timm: inception_v3 takes no images of 3x32x32 (")
    assert "it was made for 3x299x299. Resize the 32x32 images" in message


def test_the_engine_says_so_too() -> None:
    with pytest.raises(XaitoolError, match=r"^model timm: inception_v3 takes no images of 3x32x32"):
        component("{use: timm, name: inception_v3}").build("model", num_classes=10, input_size=SMALL)


@pytest.mark.parametrize("model", ["{use: resnet18, stem: cifar}", "{use: timm, name: resnet10t}"])
def test_the_engine_takes_it(model: str) -> None:
    resolved = component(model)
    bundle = resolved.build("model", num_classes=5, input_size=SMALL)
    assert Seam(resolved).model(bundle, 5) is bundle


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnett18", "timm has no model 'resnett18'; did you mean 'resnet18'?"),
        ("ResNet18", "timm has no model 'ResNet18'; did you mean 'resnet18'?"),
        ("zzzzzzzz", "timm has no model 'zzzzzzzz'"),
        ("resnet18.nope", "timm cannot make 'resnet18.nope': Invalid pretrained tag (nope) for resnet18."),
        ("hf-hub:a b", "timm cannot make 'hf-hub:a b': "),
    ],
)
def test_models_that_timm_does_not_have(name: str, message: str) -> None:
    with pytest.raises(XaitoolError) as caught:
        any_timm(name=name)
    assert str(caught.value).startswith(message)
    assert not isinstance(caught.value, DataUnavailableError)


@pytest.mark.parametrize("name", ["resnet26t", "convnext_atto", "mobilenetv3_small_050"])
def test_the_small_stem_is_for_resnets(name: str) -> None:
    with pytest.raises(XaitoolError, match=r"^stem: cifar is for ResNets with a plain first convolution"):
        any_timm(name=name, stem="cifar")


@pytest.mark.parametrize("name", ["resnet50", "seresnet18"])
def test_the_small_stem_for_other_resnets(name: str) -> None:
    bundle = any_timm(name=name, stem="cifar")
    assert outputs(bundle, batch=1)["layer4"][2:] == (4, 4)


# Pretrained weights


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The hub cannot be reached; the calls that were made."""
    calls: list[Any] = []

    def fail(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))
        raise OSError("no connection in this test")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", fail)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", fail)
    return calls


@pytest.mark.parametrize("build", [resnet18, lambda **options: any_timm(name="resnet10t", **options)])
def test_pretrained_weights_without_a_network(build: Any, offline: list[Any]) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        build(pretrained=True)
    assert offline
    message = str(caught.value)
    assert message.startswith("the pretrained weights of 'resnet")
    assert "could not be fetched (no connection in this test); set pretrained: false" in message
    assert "run once where there is a network" in message
    build(pretrained=False)


def test_a_model_of_the_hub_without_a_network(offline: list[Any]) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        any_timm(name="hf-hub:timm/resnet18")
    assert offline
    assert str(caught.value).startswith("'hf-hub:timm/resnet18' could not be fetched (no connection in this test); run")


def test_nothing_is_fetched_that_is_not_asked_for(offline: list[Any]) -> None:
    any_timm(name="resnet18.a1_in1k")
    resnet18(stem="cifar")
    assert offline == []


def test_a_model_without_pretrained_weights() -> None:
    with pytest.raises(XaitoolError, match=r"^timm cannot make 'botnet50ts_256': No pretrained weights exist"):
        any_timm(name="botnet50ts_256", pretrained=True)


def test_pretrained_weights_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = resnet18().module.state_dict()

    def load(*args: Any, **kwargs: Any) -> dict[str, Tensor]:
        return {**theirs, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", load)
    ours = resnet18(pretrained=True).module.state_dict()
    assert torch.equal(ours["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert ours["fc.weight"].shape == (10, 512)


# Options


@pytest.mark.parametrize(
    ("model", "where", "key", "message"),
    [
        ("{use: resnet18, stem: cifr}", "5:30", "stem", "should be 'cifar' or 'imagenet', not 'cifr'; did you mean"),
        ("{use: resnet18, drop_rate: 1}", "5:35", "drop_rate", "should be less than 1, not 1"),
        ("{use: resnet18, drop: 1}", "5:24", "drop", "unknown key; did you mean 'drop_rate'?"),
        ("{use: timm, name: ''}", "5:26", "name", "should not be empty"),
        ("{use: timm, layers: 1, widths: [8, 8, 8, 8]}", "5:28", "layers", "should be a list, not 1"),
        (
            "{use: timm, layers: [1, 1], widths: [8, 8, 8, 8]}",
            "5:28",
            "layers",
            "should have at least 4 items, and has 2",
        ),
        ("{use: timm, layers: [1, 0, 1, 1], widths: [8, 8, 8, 8]}", "5:32", "layers.1", "should be greater than or"),
        ("{use: timm, layers: [1, 1, 1, 1], widths: [6, 8, 8, 8]}", "5:51", "widths.0", "should be greater than or"),
        ("{use: timm, layers: [1, 1, 1, 1], widths: [9, 8, 8, 8]}", "5:51", "widths.0", "should be a multiple of 2"),
    ],
)
def test_wrong_options(model: str, where: str, key: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(RECIPE + model, "r.yaml")
    (problem,) = caught.value.problems
    assert (problem.where, problem.key) == (f"r.yaml:{where}", f"model.{key}")
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("timm", "give layers and widths (a ResNet of your own), or the name of a timm model"),
        ("{use: timm, layers: [1, 1, 1, 1]}", "give layers and widths"),
        (
            "{use: timm, name: resnet18, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}",
            "layers and widths go with the name",
        ),
        (
            "{use: timm, name: resnet18, stem: cifar, pretrained: true}",
            "there are no pretrained weights for a ResNet of",
        ),
        (
            "{use: timm, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8], pretrained: true}",
            "there are no pretrained weights",
        ),
        ("{use: resnet18, pretrained: true, stem: cifar}", "there are no pretrained weights for the cifar stem"),
    ],
)
def test_options_that_do_not_go_together(model: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(RECIPE + model, "r.yaml")
    (problem,) = caught.value.problems
    assert (problem.where, problem.key) == ("r.yaml:5:8", "model")
    assert problem.message.startswith(message)


# The engine's side


def test_it_comes_in_train_mode_without_hooks_or_gradients() -> None:
    for bundle in (resnet18(stem="cifar"), any_timm(**OWN), any_timm(name="resnet10t")):
        for part in bundle.module.modules():
            assert part.training
            assert not part._forward_hooks
        for name, buffer in bundle.module.named_buffers():
            assert name.endswith("running_var") or not buffer.any(), f"{name} has learnt from the trial image"
        assert all(each.requires_grad and each.grad is None for each in bundle.module.parameters())


def test_the_weights_follow_from_the_global_generator() -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return list(any_timm(**OWN, stem="cifar").module.parameters())

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])


def test_the_trial_draws_nothing() -> None:
    """The layers are found by running the network, with dropout and all; the random state is that of building it."""
    torch.manual_seed(1)
    resnet18(SMALL, stem="cifar", drop_rate=0.5)
    small = torch.get_rng_state()
    torch.manual_seed(1)
    resnet18((3, 64, 64), stem="cifar", drop_rate=0.5)
    assert torch.equal(torch.get_rng_state(), small)


def test_from_a_program() -> None:
    bundle = xaitool.build("model", "timm", **OWN, given={"num_classes": 4, "input_size": (3, 16, 16)})
    assert bundle.module(torch.randn(2, 3, 16, 16)).shape == (2, 4)
