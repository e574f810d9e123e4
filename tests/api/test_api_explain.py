"""``xaitool.explain`` on a model that the user holds: right maps, and nothing changed."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from captum.attr import LayerGradCam
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import xaitool
from xaitool.errors import ComponentError, ExplainError, ImageError, MetricError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def net(classes: int = 4, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(8, classes),
    )


@pytest.fixture
def model() -> nn.Module:
    return net()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def scaled(maps: torch.Tensor) -> torch.Tensor:
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low + 1e-7)


def test_maps_are_grad_cam(model: nn.Module, images: torch.Tensor) -> None:
    """captum's, scaled by its own extremes before and after it is enlarged, as pytorch-grad-cam does it."""
    targets = torch.tensor([0, 1, 2, 3, 0])
    found = xaitool.explain(model, images, targets, {"use": "gradcam", "layers": ["5"]})
    reference = LayerGradCam(model.eval(), model[5]).attribute(images, targets, relu_attributions=True)
    expected = scaled(nn.functional.interpolate(scaled(reference), (16, 16), mode="bilinear", align_corners=False))
    assert found.maps.dtype == np.float32
    np.testing.assert_allclose(found.maps, expected[:, 0].detach().numpy(), atol=1e-4)
    assert found.targets.tolist() == targets.tolist()
    torch.testing.assert_close(found.logits, model(images).detach())


def test_nothing_is_changed(model: nn.Module, images: torch.Tensor) -> None:
    model.train()[1].eval()
    model[0].weight.requires_grad_(False)
    model[9](torch.randn(2, 8)).sum().backward()
    model[4].register_forward_hook(lambda *_: None)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    gradient, strides = model[9].weight.grad, model[4].weight.stride()
    kept = gradient.clone()
    modes = [part.training for part in model.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    original = images.clone()

    xaitool.explain(model, images, method=["gradcam", "gradcam++"]).plot()
    with pytest.raises(ExplainError):
        xaitool.explain(model, images, method={"use": "gradcam", "layers": ["9"]})

    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[9].weight.grad is gradient
    assert torch.equal(gradient, kept)
    assert model[0].weight.grad is None
    assert not model[0].weight.requires_grad
    assert model[9].weight.requires_grad
    assert [len(part._forward_hooks) for part in model] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert model[4].weight.stride() == strides
    assert torch.equal(images, original)
    assert not images.requires_grad
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()


def test_an_explainer_that_changes_the_model_is_caught(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool.engine import seams

    class Careless:
        def explain(self, subject: xaitool.Subject, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                subject.module[0].bias.add_(1)
            return images.mean(1)

    monkeypatch.setattr(seams.Seam, "explainer", lambda _self, _made: Careless())
    before = model[0].bias.detach().clone()
    with pytest.raises(xaitool.XaitoolError, match="left the model changed"):
        xaitool.explain(model, images)
    assert torch.equal(model[0].bias, before)


def test_targets_in_all_their_forms(model: nn.Module, images: torch.Tensor) -> None:
    names = ["ant", "bee", "cat", "dog"]
    predicted = xaitool.explain(model, images)
    assert torch.equal(predicted.targets, predicted.logits.argmax(1))
    each = [2, 0, 1, 3, 2]
    forms = [each, torch.tensor(each), np.array(each), tuple(names[index] for index in each)]
    maps = [xaitool.explain(model, images, form, classes=names).maps for form in forms]
    assert all(np.array_equal(found, maps[0]) for found in maps)
    for same in (2, "cat", torch.tensor(2), np.int64(2)):
        assert xaitool.explain(model, images, same, classes=names).targets.tolist() == [2] * 5


def test_pixels_in_all_their_forms(model: nn.Module, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each).save(path)
    normalised = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(
        STD
    ).view(3, 1, 1)
    expected = xaitool.explain(model, normalised)
    forms = [
        pixels,
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        [Image.fromarray(each) for each in pixels],
        paths,
        [str(path) for path in paths],
    ]
    for form in forms:
        found = xaitool.explain(model, form, mean=MEAN, std=STD)
        torch.testing.assert_close(found.images.tensor, normalised)
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-6)
        assert np.array_equal(found.pictures, pixels)
    assert xaitool.explain(model, paths, mean=MEAN, std=STD).images.names == ("0.png", "1.png", "2.png")
    assert len(xaitool.explain(model, Image.fromarray(pixels[0]), mean=MEAN, std=STD)) == 1


def test_a_picture_that_cannot_be_read_is_told_by_its_number(model: nn.Module) -> None:
    fine, file = Image.new("RGB", (32, 32)), BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
    cut = Image.open(BytesIO(file.getvalue()[:1000]))
    bright = Image.fromarray(np.full((32, 32), 70_000, np.int32))
    for image, reason in ((cut, "it is damaged: "), (bright, "its pixels range from 70000 to 70000")):
        with pytest.raises(ImageError, match=f"image 1 cannot be read as an image: .*{reason}"):
            xaitool.explain(model, [fine, image], mean=MEAN, std=STD)


def test_pictures_of_any_size_are_scaled_and_cut() -> None:
    wide = Image.new("RGB", (80, 20), "black")
    wide.paste("white", (30, 0, 50, 20))  # the middle square, which is what is left of it
    found = xaitool.explain(net(), [wide, Image.new("L", (16, 16))], mean=MEAN, std=STD, size=16)
    assert found.images.tensor.shape == (2, 3, 16, 16)
    assert found.pictures[0].min() > 200
    assert xaitool.explain(net(channels=1), [wide], mean=[0.5], std=[0.5], size=(8, 16)).maps.shape == (1, 8, 16)


def test_several_methods_give_maps_by_method(model: nn.Module, images: torch.Tensor) -> None:
    found = xaitool.explain(model, images, method=["gradcam", {"use": "gradcam++", "layers": ["2"], "as": "early"}])
    assert list(found.maps) == ["gradcam", "early"]
    alone = xaitool.explain(model, images, method={"use": "gradcam++", "layers": ["2"]})
    assert np.array_equal(found.maps["early"], alone.maps)
    assert found.overlay(1, "early").size == (16, 16)
    assert {label: len(each) for label, each in found.overlays.items()} == {"gradcam": 5, "early": 5}
    assert found.layers["early"] == "2 (16x16)"


def test_several_methods_take_one_forward_pass_and_give_what_each_gives_alone(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xaitool_gradcam.explainers import CAM

    asked: list[list[str]] = []
    explain_together = CAM.explain_together

    def noted(self: CAM, subject: Any, images: Any, questions: Any) -> Any:
        asked.append([cam.name for cam, _ in questions])
        if failing and len(questions) > 1:
            raise ZeroDivisionError("together")
        return explain_together(self, subject, images, questions)

    monkeypatch.setattr(CAM, "explain_together", noted)
    methods = ["gradcam", "layercam", {"use": "gradcam++", "smooth": {"noise": 0.1, "n": 2}}]
    found, calls = [], []
    for failing in (False, True):  # noqa: B007 - it is used in what is called
        asked.clear()
        found.append(xaitool.explain(model, images, method=methods).maps)
        calls.append(asked.copy())
    assert calls[0] == [["gradcam", "layercam"], ["gradcam++"], ["gradcam++"]]
    assert calls[1][1:3] == [["gradcam"], ["layercam"]]  # each by itself, as together it fails
    for each, label in zip(methods, ("gradcam", "layercam", "gradcam++"), strict=True):
        alone = xaitool.explain(model, images, method=each).maps
        assert np.array_equal(found[0][label], alone)
        assert np.array_equal(found[1][label], alone)


def test_a_bundle_has_its_own_layers(model: nn.Module, images: torch.Tensor) -> None:
    bundle = xaitool.ModelBundle(model, (3, 16, 16), ("2",))
    expected = xaitool.explain(model, images, method={"use": "gradcam", "layers": ["2"]})
    assert np.array_equal(xaitool.explain(bundle, images).maps, expected.maps)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: torchvision.models.resnet50(num_classes=3), id="torchvision-resnet50"),
        pytest.param(lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=3), id="timm-vit"),
    ],
)
def test_large_networks_without_a_setting(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    found = xaitool.explain(build(), torch.randn(2, 3, 64, 64))
    assert found.maps.shape == (2, 64, 64)
    assert found.maps.std(axis=(1, 2)).min() > 0.05  # a map, not a plain


def test_a_coarse_layer_is_told(images: torch.Tensor) -> None:
    model = nn.Sequential(*net()[:6], nn.MaxPool2d(4), nn.Conv2d(8, 8, 1), nn.ReLU(), *net()[6:])
    (note,) = xaitool.explain(model, images).notes
    assert "2x2" in note


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"images": torch.zeros(5, 16)}, ExplainError, "N x C x H x W, and are 5 x 16"),
        ({"images": torch.zeros(0, 3, 16, 16)}, ExplainError, "0 x 3 x 16 x 16"),
        ({"images": torch.zeros(1, 3, 16, 16).byte()}, ExplainError, "these images are pixels: say with mean and std"),
        ({"images": torch.zeros(1, 3, 16, 16).long()}, ExplainError, "int64 are neither"),
        ({"images": torch.full((1, 3, 16, 16), torch.nan)}, ExplainError, "NaN"),
        ({"images": torch.zeros(1, 1, 16, 16)}, ExplainError, "fails on images of 1 x 16 x 16"),
        ({"images": np.zeros((1, 3, 16, 16))}, ExplainError, "float64 array of 3 x 16 x 16"),
        ({"images": []}, ExplainError, "no images"),
        ({"images": 3}, ExplainError, "not int"),
        ({"images": ["nowhere.png"], "mean": MEAN, "std": STD}, ImageError, "nowhere.png"),
        ({"images": Path(__file__).parent, "mean": MEAN, "std": STD}, ImageError, "it is a folder; give its files"),
        ({"images": [Path(__file__)], "mean": MEAN, "std": STD}, ImageError, "no image of a format"),
        ({"mean": MEAN}, ExplainError, "std is missing"),
        ({"mean": MEAN[:2], "std": STD[:2]}, ExplainError, "mean has 2"),
        ({"mean": MEAN, "std": (1, 0, 1)}, ExplainError, "above 0"),
        ({"targets": 4}, ExplainError, r"target 4 is out of range: the model's classes are 0\.\.3"),
        ({"targets": [-1] * 5}, ExplainError, "target -1"),
        ({"targets": [1, 2]}, ExplainError, "5 images need one target each"),
        ({"targets": "cat"}, ExplainError, "say with classes"),
        ({"targets": "cut", "classes": ["ant", "bee", "cat", "dog"]}, ExplainError, "did you mean 'cat'"),
        ({"targets": 1.5}, ExplainError, "not 1.5"),
        ({"targets": True}, ExplainError, "not True"),
        ({"classes": ["ant"]}, ExplainError, "1 classes are named, and the model has 4"),
        ({"method": "gradcan"}, ComponentError, "did you mean 'gradcam'"),
        ({"method": {"use": "gradcam", "layer": "5"}}, ComponentError, "did you mean 'layers'"),
        ({"method": {"use": "gradcam", "layers": "auto"}}, ExplainError, "name the layer here"),
        ({"method": ["gradcam", "gradcam"]}, ExplainError, "there twice"),
        ({"method": []}, ExplainError, "empty list"),
        ({"method": 7}, ExplainError, "not 7"),
        ({"model": lambda images: images}, ExplainError, "not function"),
        ({"model": nn.Conv2d(3, 1, 1)}, ExplainError, "logits of N x classes"),
        ({"size": 8}, ExplainError, "size is for images that are pixels"),
    ],
)
def test_mistakes_are_told(model: nn.Module, images: torch.Tensor, change, kind, said: str) -> None:
    given = {"model": model, "images": images, **change}
    with pytest.raises(kind, match=said):
        xaitool.explain(given.pop("model"), given.pop("images"), **given)


def test_different_sizes_need_a_size(model: nn.Module) -> None:
    with pytest.raises(ExplainError, match="different sizes"):
        xaitool.explain(model, [Image.new("RGB", (16, 16)), Image.new("RGB", (20, 16))], mean=MEAN, std=STD)


def test_an_explainer_in_the_models_place_is_shown_the_other_function(images: torch.Tensor) -> None:
    gradcam = xaitool.build("explainer", "gradcam")
    with pytest.raises(ExplainError, match=r"xaitool\.explain_with"):
        xaitool.explain(gradcam, images)


def test_pictures_plots_and_html(model: nn.Module, images: torch.Tensor) -> None:
    found = xaitool.explain(model, images, classes=["<b>a</b>", "bee", "cat", "dog"], targets=0)
    assert found.pictures.dtype == np.uint8
    assert found.pictures.reshape(5, -1).min(1).tolist() == [0] * 5  # unknown units: each stretched to what it has
    figure = found.plot()
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in type(figure).__module__
    html = found._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;a" in html
    assert "http" not in html
    assert html.count("data:image/png;base64,") == 10
    assert re.search(r"Explanation of 5 images \(16x16\) by gradcam at \d", repr(found))
    with pytest.raises(ExplainError, match="no image 5"):
        found.overlay(5)
    with pytest.raises(ExplainError, match="did you mean 'gradcam'"):
        found.overlay(0, "gradcan")


def test_saved_files_are_what_was_found(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    found = xaitool.explain(model, images, classes=["ant", "bee", "cat", "dog"], method=["gradcam", "gradcam++"])
    folder = found.save(tmp_path / "new" / "folder")
    assert len(list(folder.iterdir())) == 5 * 2 * 2 + 1
    for index in range(5):
        stem = folder / f"{index:05d}-{index}.gradcam++"
        assert np.array_equal(np.load(f"{stem}.npy"), found.maps["gradcam++"][index])
        with Image.open(f"{stem}.png") as saved:
            assert np.array_equal(np.asarray(saved), np.asarray(found.overlay(index, "gradcam++")))
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    probabilities = found.logits.softmax(1)
    for row, each in zip(rows, probabilities, strict=True):
        assert row["predicted"] == row["target"] == ["ant", "bee", "cat", "dog"][each.argmax()]
        assert float(row["confidence"]) == pytest.approx(float(each.max()), abs=1e-6)
        assert float(row["runner_up_probability"]) == pytest.approx(float(each.topk(2).values[1]), abs=1e-6)
    with pytest.raises(xaitool.XaitoolError, match="cannot write"):
        found.save(folder / "predictions.csv")


def test_judging_wants_enough_images_in_known_units(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(MetricError, match="30 images at least, and there are 5"):
        xaitool.explain(model, images).judge()
    with pytest.raises(MetricError, match="mean and std"):
        xaitool.explain(model, torch.randn(30, 3, 16, 16)).judge()


def planted(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a bright square, red or blue, somewhere: what the model below looks at, and nothing else is."""
    draw = torch.Generator().manual_seed(3)
    images = 0.5 + 0.05 * torch.randn(count, 3, 24, 24, generator=draw)
    labels = torch.randint(0, 2, (count,), generator=draw)
    for image, label, (down, across) in zip(
        images, labels, torch.randint(0, 18, (count, 2), generator=draw).tolist(), strict=True
    ):
        image[:, down : down + 6, across : across + 6] = 0
        image[2 * int(label), down : down + 6, across : across + 6] = 1
    return images.clamp(0, 1), labels


class Reads(nn.Module):
    """Which of red and blue there is more of in the most coloured places; other weights read other colours."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Conv2d(3, 2, 5, padding=2, bias=False)
        with torch.no_grad():
            self.colour.weight.zero_()
            self.colour.weight[0, 0], self.colour.weight[0, 1:] = 1 / 25, -1 / 50
            self.colour.weight[1, 2], self.colour.weight[1, :2] = 1 / 25, -1 / 50
        self.relu = nn.ReLU()
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.copy_(200 * torch.eye(2))
            self.head.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.colour(images) - 0.2).mean((2, 3)))


def test_a_right_explainer_is_judged_faithful_and_nothing_is_changed() -> None:
    model = Reads()
    images, labels = planted(40)
    weight, strides = model.colour.weight.detach().clone(), model.colour.weight.stride()
    found = xaitool.explain(model, images, classes=["red", "blue"], method=["gradcam"])
    assert torch.equal(found.predicted, labels)
    verdicts = found.judge(metrics=[{"use": "abpc", "steps": 8}])
    assert verdicts["gradcam"].verdict.faithfulness == "faithful"
    assert verdicts.words == {"gradcam": "faithful"}
    assert "better than every control; closest is" in str(verdicts)
    assert "[" in str(verdicts)
    assert "faithful" in verdicts._repr_html_().lower()
    assert verdicts.as_dict()["gradcam"]["faithfulness"] == "faithful"
    assert torch.equal(model.colour.weight, weight)
    assert model.colour.weight.stride() == strides
    assert model.training


def test_the_verdict_is_about_the_classes_that_were_explained() -> None:
    """For the class that is not there, Grad-CAM of this network has nothing to show."""
    model = Reads()
    images, labels = planted(30)
    found = xaitool.explain(model, images, targets=1 - labels)
    assert found.judge(metrics=[{"use": "abpc", "steps": 8}])["gradcam"].verdict.faithfulness == "too few images"


def test_metrics_are_checked(model: nn.Module) -> None:
    found = xaitool.explain(model, torch.rand(30, 3, 16, 16))
    with pytest.raises(ComponentError, match="did you mean 'abpc'"):
        found.judge(metrics=["abcp"])
    with pytest.raises(MetricError, match="neither a name nor a mapping"):
        found.judge(metrics=[3])
