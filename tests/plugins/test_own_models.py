"""Models that the user has: Python code, torchvision's, and checkpoints of whatever layout."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import xaitool
from xaitool import Recipe, build
from xaitool.contracts import ModelBundle
from xaitool.errors import CheckpointError, DataUnavailableError, ModelError, RecipeError
from xaitool.layers import find_layers
from xaitool.models.checkpoint import read_state
from xaitool.models.filling import fill

CODE = """
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))

def build(num_classes, input_size):
    return Net(num_classes, width=input_size[1] // 4)

def fixed():
    return Net(1000)

def mapping(num_classes):
    class Wrong(Net):
        def forward(self, images):
            return {"logits": super().forward(images)}
    return Wrong(num_classes)

def failing():
    raise KeyError("my own mistake")

def number():
    return 7

made = Net(4)
"""

SIZE = (3, 32, 32)


@pytest.fixture
def code(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the user's module, under a name of its own; the module's name is the file's."""
    path = tmp_path / f"code_{abs(hash(request.node.name))}.py"
    path.write_text(CODE)
    return path


def own(code: Path, attribute: str, classes: int = 4, **options: Any) -> ModelBundle:
    given = {"num_classes": classes, "input_size": SIZE}
    options = {"folder": str(code.parent), "target": f"{code.stem}:{attribute}", **options}
    return build("model", "python", given=given, **options)  # type: ignore[no-any-return]


def torchvisions(name: str, classes: int = 4, size: tuple[int, int, int] = SIZE, **options: Any) -> ModelBundle:
    given = {"num_classes": classes, "input_size": size}
    return build("model", "torchvision", given=given, name=name, **options)  # type: ignore[no-any-return]


def small(classes: int = 4) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(body=nn.Conv2d(3, 8, 3), norm=nn.BatchNorm2d(8), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
        | {"head": nn.Linear(8, classes)}
    )


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# The user's own module


@pytest.mark.parametrize("attribute", ["build", "Net", "made"])
def test_a_function_a_class_and_a_module(code: Path, attribute: str) -> None:
    path = list(sys.path)
    bundle = own(code, attribute)
    assert bundle.module(torch.zeros(2, *SIZE)).shape == (2, 4)
    assert find_layers(bundle.module, torch.randn(2, *SIZE))[0].name.startswith("body")
    assert bundle.weights == ""
    assert sys.path == path


def test_arguments_and_layers_of_ones_own(code: Path) -> None:
    bundle = own(code, "Net", arguments={"width": 12}, cam_layers=["body.0", "body.2"])
    assert bundle.module.head.in_features == 12
    assert bundle.cam_layers == ("body.0", "body.2")
    with pytest.raises(ModelError, match=r"cam_layers: the model has no layer 'body.7'; did you mean 'body.\d'"):
        own(code, "Net", cam_layers=["body.7"])


def test_its_module_is_not_the_run_s_to_change(code: Path) -> None:
    bundle = own(code, "made")
    assert bundle.module is not sys.modules[code.stem].made


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("fixed", "gives scores of 2 x 1000 for 2 images; with the data set's 4 classes it should be 2 x 4"),
        ("mapping", "gives a dict, not a tensor"),
        ("failing", "KeyError: 'my own mistake'.*code_.*py:27"),
        ("number", "makes a int, not a torch.nn.Module"),
        ("nothing", "AttributeError: .*no attribute 'nothing'$"),
        ("biuld", r"no attribute 'biuld'; did you mean 'build'\?$"),
    ],
)
def test_what_is_no_model_of_these_classes(code: Path, attribute: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        own(code, attribute)


def test_a_module_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No module named 'nowhere'"):
        own(tmp_path / "nowhere.py", "build")


def write(folder: Path, width: int, later: int = 0) -> Path:
    """A folder with a module and the one that it imports, only when it is run; the width is the second's."""
    folder.mkdir(exist_ok=True)
    (folder / "own_net.py").write_text(LAZY)
    (folder / "own_parts.py").write_text(f"import torch\nWIDTH = {width}\n")
    time = (folder / "own_net.py").stat().st_mtime + later
    os.utime(folder / "own_parts.py", (time, time))
    return folder / "own_net.py"


LAZY = """
import own_parts
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, own_parts.WIDTH, 32)

    def forward(self, images):
        import own_late
        return own_late.flat(self.head(images))
"""
LATE = "def flat(values):\n    return values.flatten(1)[:, :4]\n"


@pytest.fixture
def forgotten() -> Iterator[None]:
    yield
    for name in ("own_net", "own_parts", "own_late"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("forgotten")
def test_each_folder_has_its_own_code_and_changed_code_is_imported_anew(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", 4), write(tmp_path / "two", 5)
    for path in (one, two):
        (path.parent / "own_late.py").write_text(LATE)
    path = list(sys.path)
    first = own(one, "Net").module
    assert type(own(one, "Net").module) is type(first)  # nothing has changed, nothing is imported again
    assert own(two, "Net").module.head.out_channels == 5
    assert first(torch.zeros(2, *SIZE)).shape == (2, 4)  # it still works
    assert own(one, "Net").module.head.out_channels == 4
    write(tmp_path / "one", 16, later=7)
    assert own(one, "Net").module.head.out_channels == 16
    assert sys.path == path


@pytest.mark.usefixtures("forgotten")
def test_code_that_the_user_has_imported_from_elsewhere_is_not_taken_for_the_folder_s(tmp_path: Path) -> None:
    theirs, torch_before = ModuleType("own_net"), sys.modules["torch"]
    theirs.__file__ = str(tmp_path / "elsewhere" / "own_net.py")
    sys.modules["own_net"] = theirs
    code = write(tmp_path / "one", 4)
    with pytest.raises(ModelError, match="No module named 'own_late'"):
        own(code, "Net")
    assert sys.modules["own_net"] is theirs  # it failed, and all is as it was
    assert "own_parts" not in sys.modules
    (code.parent / "own_late.py").write_text(LATE)
    assert own(code, "Net").module.head.out_channels == 4
    assert sys.modules["torch"] is torch_before


def test_weights_that_give_no_numbers(code: Path) -> None:
    bundle = own(code, "Net")
    state = bundle.module.state_dict()
    state["body.1.running_var"] = -torch.ones(8)
    save_file(state, code.parent / "bad.safetensors")
    with pytest.raises(ModelError, match="gives scores that are NaN"):
        own(code, "Net", checkpoint=str(code.parent / "bad.safetensors"))


# May it be executed?

RECIPE = """
recipe: 1
name: own
dataset: {use: shapes, train: 100, test: 50}
model:
  use: python
  target: spring:build
train: {epochs: 1, scheduler: {use: onecycle, max_lr: 0.1}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "spring.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.sprung').touch()\n")
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE)
    return path


def test_code_is_refused_at_its_line_and_column(recipe: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe)
    assert str(caught.value).startswith(f"{recipe}:7:11: model.target: this is Python code that would be executed")
    assert "--allow-code" in str(caught.value)
    with pytest.raises(RecipeError, match="--allow-code"):
        Recipe.parse(RECIPE)


def test_a_program_allows_code_as_the_command_does(recipe: Path, tmp_path: Path, monkeypatch) -> None:
    """``xaitool.run`` takes what ``Recipe.load`` takes."""
    seen: list[bool] = []
    monkeypatch.setattr("xaitool.engine.run._carried_out", lambda given, *_: seen.append(given.source.allow_code))
    with pytest.raises(RecipeError, match="allow_code=True"):
        xaitool.run(recipe, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    xaitool.run(recipe, out=tmp_path / "runs", allow_code=True)
    assert seen == [True]


def test_checking_a_recipe_executes_nothing(recipe: Path) -> None:
    checked = Recipe.load(recipe, allow_code=True)
    assert checked.with_set({"train.epochs": 2}).model.config.model_dump()["folder"] == str(recipe.parent)
    assert not (recipe.parent / "spring.sprung").exists()


@pytest.mark.parametrize(
    ("folder", "fine"), [("{}", True), ("{}/..", True), ("{}/other", False), (".", False), ("", False)]
)
def test_trusted_folders(recipe: Path, monkeypatch: pytest.MonkeyPatch, folder: str, fine: bool) -> None:
    monkeypatch.chdir(recipe.parent)
    monkeypatch.setenv("XAITOOL_TRUSTED_FOLDERS", folder.format(recipe.parent))
    if fine:
        assert Recipe.load(recipe).model.label == "python"
    else:
        with pytest.raises(RecipeError, match=r"not trusted.*TRUSTED_FOLDERS\n?$"):
            Recipe.load(recipe)


def test_paths_start_from_the_recipe_and_from_the_command_s_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RECIPE.replace("use: python\n  target: spring:build", "use: resnet18\n  checkpoint: weights/a.pt")
    recipe.write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def checkpoint(loaded: Recipe) -> str:
        return str(loaded.model.config.model_dump()["checkpoint"])

    assert checkpoint(Recipe.load(recipe)) == str(tmp_path / "weights/a.pt")
    assert checkpoint(Recipe.load(recipe, set=["model.checkpoint=b.pt"])) == str(elsewhere / "b.pt")
    assert checkpoint(Recipe.load(recipe, set={"model.checkpoint": "~/b.pt"})) == "~/b.pt"
    assert checkpoint(Recipe.load(recipe, set={"model.checkpoint": "/b.pt"})) == "/b.pt"
    assert checkpoint(Recipe.parse(text)) == str(elsewhere / "weights/a.pt")
    assert checkpoint(Recipe.parse(Recipe.load(recipe).to_yaml())) == str(tmp_path / "weights/a.pt")


# Checkpoints


def test_a_safetensors_file(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "model.bin")  # known by what is in it
    one, other = small(), small()
    fill(one, tmp_path / "model.bin", 4)
    fill(other, tmp_path / "model.bin", 4)
    assert equal(one, other)


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    source, target = small(), small()
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    fill(target, tmp_path, 4)
    assert equal(source, target)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}}, "args": {"lr": 0.1}},
        lambda state: {"model_state": state},
        lambda state: {"model_state_dict": state, "loss": torch.tensor(0.1)},
        lambda state: {"checkpoint": 1, "model": {"state_dict": state}},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
        lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
        lambda state: {
            name: value.half().float() if value.is_floating_point() else value for name, value in state.items()
        },
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_layouts_of_torch_files(tmp_path: Path, wrap: Any, zipped: bool) -> None:
    source, target = small(), small()
    with torch.no_grad():
        for tensor in source.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    torch.save(wrap(source.state_dict()), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    fill(target, tmp_path / "a.pt", 4)
    assert equal(source, target)


def test_tied_weights_may_be_there_once(tmp_path: Path) -> None:
    tied = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4)))
    tied.b.weight = tied.a.weight  # type: ignore[assignment,union-attr]
    state = {name: value.clone() for name, value in tied.state_dict().items() if name != "b.weight"}
    save_file(state, tmp_path / "a.safetensors")
    fill(tied, tmp_path / "a.safetensors", 4)


def test_a_model_of_ones_own_with_the_prefix_keeps_it(tmp_path: Path) -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = small()

    source, target = Wrapper(), Wrapper()
    torch.save(source.state_dict(), tmp_path / "a.pt")
    fill(target, tmp_path / "a.pt", 4)
    assert equal(source, target)


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = small().state_dict()
    state["extra.weight"] = torch.zeros(2)
    state["body.weight"] = torch.zeros(9, 3, 3, 3)
    del state["head.bias"]
    save_file(state, tmp_path / "a.safetensors")
    target = small()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        fill(target, tmp_path / "a.safetensors", 4)
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'a.safetensors'} does not fit the model:",
        "  1 of the model's 9 weights are missing: head.bias",
        "  1 are not the model's: extra.weight",
        "  1 have another shape: body.weight is 9x3x3x3, the model's 8x3x3x3",
    ]
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in before.items())


def test_long_lists_are_shortened(tmp_path: Path) -> None:
    save_file({f"layer{number}.weight": torch.zeros(1) for number in range(50)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"50 are not the model's: .*, and 46 more") as caught:
        fill(small(), tmp_path / "a.safetensors", 4)
    assert "Is it a checkpoint of another architecture?" in str(caught.value)


def test_a_head_for_other_classes_is_told(tmp_path: Path) -> None:
    save_file(small(1000).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(
        CheckpointError, match="Only the head differs: the checkpoint is for 1000 classes, the data set has 4"
    ):
        fill(small(), tmp_path / "a.safetensors", 4)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    state = small().state_dict()
    state["body.weight"][0] = torch.nan
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"1 weights are NaN or infinite: body\.weight"):
        fill(small(), tmp_path / "a.safetensors", 4)


class Trap:
    """A pickle that does something when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_no_pickle_is_executed(tmp_path: Path) -> None:
    torch.save({"state_dict": small().state_dict(), "trap": Trap(tmp_path / "sprung")}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    torch.save(small(), tmp_path / "whole.pt")
    for name, code in [("a.pt", ""), ("b.pt", ""), ("whole.pt", "(torch.nn.")]:
        with pytest.raises(CheckpointError, match="Save the weights alone") as caught:
            read_state(tmp_path / name)
        assert "weights_only" not in str(caught.value)  # torch tells how to read it all the same
        assert code in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_is_no_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"no checkpoint .*: {tmp_path} is a folder, but no run's"):
        read_state(tmp_path)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_files_that_are_cut_short_or_something_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("pt"):
        torch.save(small().state_dict(), path)
    else:
        save_file(small().state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:9], b"", b"no weights at all"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{name} (cannot be read|holds)"):
            read_state(path)


def test_every_damaged_byte_gives_weights_or_the_one_error(tmp_path: Path) -> None:
    """Not each byte of it, but of each part of both layouts."""
    path, random = tmp_path / "a.pt", Random(0)
    for zipped in (True, False):
        torch.save({"a": torch.zeros(2, 2), "b": torch.ones(3)}, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for _ in range(300):
            damaged = bytearray(whole)
            damaged[random.randrange(len(whole))] = random.randrange(256)
            path.write_bytes(damaged)
            with suppress(CheckpointError):
                read_state(path)


@pytest.mark.parametrize("error", [AssertionError(), AttributeError("x"), ImportError("x"), zipfile.BadZipFile("x")])
def test_whatever_a_damaged_file_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    (tmp_path / "a.pt").write_bytes(b"anything at all")
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(CheckpointError, match=r"a\.pt cannot be read as weights"):
        read_state(tmp_path / "a.pt")


def test_images_that_no_memory_holds(code: Path) -> None:
    with pytest.raises(ModelError, match=r"takes no images of 3x1000000000x1000000000"):
        build(
            "model",
            "python",
            given={"num_classes": 4, "input_size": (3, 10**9, 10**9)},
            target=f"{code.stem}:Net",
            folder=str(code.parent),
        )


def test_a_file_without_a_state_dict_and_no_file(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"holds no state dict.* it holds epoch, optimizer"):
        read_state(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none.pt"):
        read_state(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*model.safetensors"):
        read_state(tmp_path)


# torchvision's and timm's


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("mobilenet_v3_small", 64), ("vit_b_16", 32), ("googlenet", 64), ("squeezenet1_1", 32)],
)
def test_torchvision_s_models_for_any_size_and_number_of_classes(name: str, size: int) -> None:
    bundle = torchvisions(name, 7, (3, size, size))
    assert bundle.module(torch.zeros(2, 3, size, size)).shape == (2, 7)
    assert find_layers(bundle.module, torch.randn(2, 3, size, size))


def test_a_checkpoint_for_torchvision_s_model(tmp_path: Path) -> None:
    source = torchvisions("resnet18").module
    torch.save(
        {"state_dict": {f"module.{name}": each for name, each in source.state_dict().items()}}, tmp_path / "a.pt"
    )
    bundle = torchvisions("resnet18", checkpoint=str(tmp_path / "a.pt"))
    assert equal(bundle.module, source)
    assert bundle.weights == str(tmp_path / "a.pt")


def test_pretrained_weights_with_a_head_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    source = torchvisions("resnet18", 1000).module
    weights = "torchvision.models._api.WeightsEnum.get_state_dict"
    monkeypatch.setattr(weights, lambda *_, **__: source.state_dict())
    filled = torchvisions("resnet18", 4, weights="DEFAULT").module
    assert torch.equal(filled.conv1.weight, source.conv1.weight)
    assert filled.fc.weight.shape == (4, 512)
    assert equal(torchvisions("resnet18", 1000, weights="IMAGENET1K_V1").module, source)


@pytest.mark.parametrize(("name", "size"), [("googlenet", 32), ("inception_v3", 75)])
def test_published_weights_get_the_inputs_that_they_were_trained_on(
    monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    published = torchvision.models.get_model(name, weights=None, init_weights=False).state_dict()
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", lambda *_, **__: published)
    theirs = torchvision.models.get_model(name, weights="DEFAULT").eval()
    ours = torchvisions(name, 1000, (3, size, size), weights="DEFAULT").module.eval()
    images = torch.randn(2, 3, size, size)
    # Before anything else is done, so that random weights cannot hide it.
    assert torch.equal(ours._transform_input(images), theirs._transform_input(images))
    assert not torch.equal(ours._transform_input(images), images)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


def test_pretrained_weights_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", refuse)
    with pytest.raises(DataUnavailableError, match=r"could not be fetched \(no network here\)"):
        torchvisions("resnet18", weights="DEFAULT")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "resnet81"}, "torchvision has no classifier 'resnet81'; did you mean 'resnet"),
        ({"name": "resnet18", "weights": "IMAGENET1K_V9"}, "no weights 'IMAGENET1K_V9' for 'resnet18'; did you mean"),
        ({"name": "vit_b_16", "size": (3, 33, 33)}, "torchvision cannot make 'vit_b_16' for images of 33x33"),
        ({"name": "alexnet", "size": (3, 16, 16)}, "takes no images of 3x16x16"),
    ],
)
def test_mistakes_with_torchvision_s_models(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        torchvisions(**options)


def test_a_timm_transformer_for_small_images_and_its_checkpoint(tmp_path: Path) -> None:
    given = {"num_classes": 5, "input_size": (3, 64, 64)}
    first = build("model", "timm", given=given, name="vit_tiny_patch16_224")
    assert find_layers(first.module, torch.randn(2, 3, 64, 64))
    save_file(first.module.state_dict(), tmp_path / "a.safetensors")
    checkpoint = str(tmp_path / "a.safetensors")
    again = build("model", "timm", given=given, name="vit_tiny_patch16_224", checkpoint=checkpoint)
    assert equal(first.module, again.module)
    assert again.weights == checkpoint
