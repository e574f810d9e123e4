"""Layers with a spatial grid are found in any architecture, by running it, and nothing in it is changed."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from xaitool.building import build
from xaitool.contracts import Subject
from xaitool.errors import ExplainError
from xaitool.grid import Grid, grid_of
from xaitool.layers import Layer, coarse_words, find_layers, named_layers
from xaitool.testing import bench

SIDE = 64


def pictures(side: int = SIDE, width: int | None = None) -> Tensor:
    return torch.rand(3, 3, side, width or side, generator=torch.Generator().manual_seed(0)) - 0.5


def built(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=5, **options)


def found(module: nn.Module, side: int = SIDE) -> list[str]:
    return [str(layer) for layer in find_layers(module, pictures(side))]


# Names as the authors of each network call them, from its last stage to its first.
NETWORKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "resnet10t": ({}, ["layer4 (2x2)", "layer3 (4x4)", "layer2 (8x8)", "layer1 (16x16)", "act1 (32x32)"]),
    "convnext_atto": ({}, ["stages.3 (2x2)", "stages.2 (4x4)", "stages.1 (8x8)", "stages.0 (16x16)"]),
    "efficientnet_lite0": (
        {},
        ["bn2 (2x2)", "blocks.4 (4x4)", "blocks.2 (8x8)", "blocks.1 (16x16)", "blocks.0 (32x32)"],
    ),
    "vgg11": (
        {"mlp_ratio": 0.02},
        [f"features.{layer}" for layer in ("20 (2x2)", "19 (4x4)", "14 (8x8)", "9 (16x16)", "4 (32x32)", "1 (64x64)")],
    ),
    "densenet121": (
        {"block_config": (1, 1, 2, 1)},
        [
            f"features.{part}"
            for part in ("norm5 (2x2)", "denseblock3 (4x4)", "denseblock2 (8x8)", "denseblock1 (16x16)")
        ]
        + ["features.norm0 (32x32)"],
    ),
    "mobilenetv3_small_050": (
        {},
        ["blocks.5 (2x2)", "blocks.3 (4x4)", "blocks.1 (8x8)", "blocks.0 (16x16)", "bn1 (32x32)"],
    ),
    "regnetx_002": ({}, ["s4 (2x2)", "s3 (4x4)", "s2 (8x8)", "s1 (16x16)", "stem (32x32)"]),
    # The last block's output does not matter outside the class token; what its attention reads does.
    "vit_tiny_patch16_224": ({"img_size": 64}, [f"blocks.{number}.norm1 (4x4)" for number in (11, 8, 5, 2)]),
    "vit_wee_patch16_reg1_gap_256": (
        {"img_size": 64},
        ["blocks (4x4)", "blocks.9 (4x4)", "blocks.6 (4x4)", "blocks.2 (4x4)"],
    ),
    "deit_tiny_distilled_patch16_224": ({"img_size": 64}, [f"blocks.{n}.norm1 (4x4)" for n in (11, 8, 5, 2)]),
    "swin_tiny_patch4_window7_224": (
        {"img_size": 64, "embed_dim": 24, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)},
        ["norm (2x2)", "layers.2 (4x4)", "layers.1 (8x8)", "layers.0 (16x16)"],
    ),
    "maxvit_rmlp_pico_rw_256": ({"img_size": 64}, ["norm (2x2)", "stages.2 (4x4)"]),
    # Its head starts with zeros: the scores depend on nothing yet.
    "mixer_s32_224": ({"img_size": 128}, ["norm (4x4)", "blocks.5 (4x4)", "blocks.3 (4x4)", "blocks.1 (4x4)"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_of_timms_networks(name: str) -> None:
    options, expected = NETWORKS[name]
    layers = found(built(name, **options), options.get("img_size", SIDE))
    assert layers[: len(expected)] == expected
    assert all(layer not in "".join(expected) for layer in layers[len(expected) :])


def test_prefix_tokens_are_taken_off() -> None:
    for name, before in (("vit_tiny_patch16_224", 1), ("deit_tiny_distilled_patch16_224", 2)):
        module = built(name, img_size=SIDE, depth=2)
        assert {layer.grid for layer in find_layers(module, pictures())} == {Grid("tokens", 4, 4, before)}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: torchvision.models.resnet18(num_classes=5), ["layer4 (2x2)", "layer3 (4x4)"]),
        (
            lambda: torchvision.models.VisionTransformer(SIDE, 16, 3, 2, 32, 64, num_classes=5),
            ["encoder.layers.encoder_layer_2.ln_1 (4x4)", "encoder.layers.encoder_layer_1.ln_1 (4x4)"],
        ),
        # Its adaptive pooling to 7x7 would blow the 2x2 up again.
        (
            lambda: nn.Sequential(
                make_layers(cfgs["A"]), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(512 * 49, 5)
            ),
            ["0.20 (2x2)", "0.19 (4x4)"],
        ),
    ],
    ids=["resnet18", "vit", "vgg11"],
)
def test_layers_of_torchvisions_networks(build: Any, expected: list[str]) -> None:
    torch.manual_seed(0)
    assert found(build())[:2] == expected


@pytest.mark.parametrize("name", [*NETWORKS, "torchvision resnet18", "torchvision vit"])
def test_each_gets_sensible_maps_without_a_setting(name: str) -> None:
    torch.manual_seed(0)
    options, side = NETWORKS[name][0] if name in NETWORKS else {}, SIDE
    match name:
        case "torchvision resnet18":
            module: nn.Module = torchvision.models.resnet18(num_classes=5)
        case "torchvision vit":
            module = torchvision.models.VisionTransformer(SIDE, 16, 3, 2, 32, 64, num_classes=5)
        case _:
            module, side = built(name, **options), options.get("img_size", SIDE)
    for head in module.modules():
        if isinstance(head, nn.Linear) and head.out_features == 5:
            nn.init.normal_(head.weight, std=0.1)  # some start with zeros, of which nothing follows
    images, targets = pictures(side), torch.tensor([0, 1, 2])
    explainers = [build("explainer", method) for method in ("gradcam", "layercam", "eigencam")]
    questions = [(each, classes) for each in explainers for classes in (targets, targets + 2)]
    every = explainers[0].explain_together(Subject(module), images, questions)
    for maps in every:
        assert maps.shape == (3, side, side)
        assert maps.isfinite().all()
    for of_a_class, of_another in ((every[0], every[1]), (every[2], every[3])):
        both = torch.cat([of_a_class, of_another])
        assert (both.amax((1, 2)) > 0.9).sum() >= 3, "maps that are not the same everywhere"
        assert not torch.equal(of_a_class, of_another)
    rows, columns = find_layers(module, images)[0].grid.size
    assert explainers[0].native_size(Subject(module), images) == (rows, columns)
    assert (every[4].amax((1, 2)) > 0.9).all()
    assert torch.equal(every[4], every[5])


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((2, 8, 4, 4), (64, 64), Grid("NCHW", 4, 4)),
        ((2, 4, 4, 8), (64, 64), Grid("NHWC", 4, 4)),
        ((2, 8, 2, 4), (32, 64), Grid("NCHW", 2, 4)),
        ((2, 4, 2, 8), (64, 32), Grid("NHWC", 4, 2)),
        ((2, 8, 5, 9), (33, 65), Grid("NCHW", 5, 9)),  # as a stride of 8 with padding makes it
        ((2, 8, 147, 147), (299, 299), Grid("NCHW", 147, 147)),  # ... and without
        ((2, 17, 8), (64, 64), Grid("tokens", 4, 4, 1)),
        ((2, 33, 8), (32, 64), Grid("tokens", 4, 8, 1)),
        ((2, 197, 8), (224, 224), Grid("tokens", 14, 14, 1)),
        ((2, 261, 8), (224, 224), Grid("tokens", 16, 16, 5)),
        ((2, 8, 1, 1), (64, 64), None),
        ((2, 8, 128, 128), (64, 64), None),
        ((2, 8), (64, 64), None),
        ((2, 3, 197, 64), (224, 224), None),  # heads, tokens, channels
    ],
    ids=str,
)
def test_the_grid_in_a_shape(shape: tuple[int, ...], size: tuple[int, int], expected: Grid | None) -> None:
    assert grid_of(torch.zeros(shape), size) == expected


@pytest.mark.parametrize(
    ("grid", "shape"), [(Grid("NCHW", 2, 3), (2, 5, 2, 3)), (Grid("NHWC", 2, 3), (2, 2, 3, 5))], ids=["NCHW", "NHWC"]
)
def test_a_grid_is_seen_channels_first(grid: Grid, shape: tuple[int, ...]) -> None:
    output = torch.rand(shape)
    seen = grid.view(output)
    assert seen.shape == (2, 5, 2, 3)
    assert seen[1, 4, 0, 2] == (output[1, 4, 0, 2] if grid.layout == "NCHW" else output[1, 0, 2, 4])


def test_tokens_are_seen_row_by_row_after_the_prefix() -> None:
    output = torch.rand(2, 2 + 6, 5)
    seen = Grid("tokens", 2, 3, 2).view(output)
    assert seen.shape == (2, 5, 2, 3)
    assert seen[1, 4, 1, 2] == output[1, 2 + 1 * 3 + 2, 4]


class Twice(nn.Module):
    """One ReLU in two places, and a branch that the scores do not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, 2, 1)
        self.act = nn.ReLU()
        self.two = nn.Conv2d(4, 4, 3, 2, 1)
        self.aside = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.act(self.two(self.act(self.one(images))))
        self.aside(features)
        return self.head(features.mean((2, 3)))


def test_a_layer_that_runs_twice_or_is_not_depended_on_is_none() -> None:
    torch.manual_seed(0)
    assert found(Twice(), 32) == ["two (8x8)", "one (16x16)"]


def test_no_layer_where_there_is_no_grid() -> None:
    torch.manual_seed(0)
    assert found(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 20), nn.ReLU(), nn.Linear(20, 5)), 32) == []


def test_a_long_image_has_a_long_grid() -> None:
    module = built("resnet10t")
    assert str(find_layers(module, pictures(64, 96))[1]) == "layer3 (4x6)"


@pytest.mark.parametrize("fails", [False, True], ids=["goes well", "fails"])
def test_the_model_comes_back_as_it_was(fails: bool) -> None:
    subject = bench.lived_in()
    images = bench.pictures(2).images.requires_grad_()
    broken = subject.module.get_submodule("head").register_forward_pre_hook(
        lambda _module, _inputs: 1 / 0 if fails else None
    )
    before, random_state = bench.condition(subject.module), bench.random_state()
    with torch.no_grad():
        if fails:
            with pytest.raises(ZeroDivisionError):
                find_layers(subject.module, images)
        else:
            assert [layer.name for layer in find_layers(subject.module, images)] == ["stage2", "stage1"]
    assert not bench.changes(before, bench.condition(subject.module))
    assert not bench.changes(random_state, bench.random_state())
    assert images.grad is None
    broken.remove()


def test_works_frozen_and_in_inference_mode() -> None:
    module = bench.subject().module.requires_grad_(False)
    with torch.inference_mode():
        images = bench.pictures(1).images.clone()
        assert [layer.name for layer in find_layers(module, images)] == ["stage2", "stage1"]


def test_a_coarse_grid_names_the_finer_ones() -> None:
    layers = find_layers(built("resnet10t"), pictures())
    assert coarse_words(layers[0], layers) == (
        "layer4 has a grid of 2x2 only, which points at little more than a corner; finer are layer3 (4x4), "
        "layer2 (8x8), layer1 (16x16), act1 (32x32): choose with layers: [layer3]"
    )
    assert coarse_words(layers[1], layers) is None
    alone = Layer("conv", Grid("NCHW", 2, 2))
    assert "no layer of this model has a finer one: give it larger images" in str(coarse_words(alone, [alone]))


def test_names_of_layers() -> None:
    module = built("resnet10t")
    assert list(named_layers(module, ["layer2", "layer4.0.conv1"])) == ["layer2", "layer4.0.conv1"]
    with pytest.raises(ExplainError, match=r"no layer 'layr4'; did you mean 'layer4'\?"):
        named_layers(module, ["layr4"])
    with pytest.raises(ExplainError, match="no layer 'xyz'; the model suggests layer3, layer4"):
        named_layers(module, ["xyz"], ("layer3", "layer4"))


def test_images_that_are_the_same_everywhere_do_not_hide_the_layers() -> None:
    """Blank scans: without padding, all that a layer gives for them is the same everywhere."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert [each.name for each in find_layers(module, torch.zeros(2, 3, 16, 16))] == ["1", "0"]
