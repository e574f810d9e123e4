"""What explains: methods with all that belongs to them, weights by their content, layers that are too coarse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import xaitool
from xaitool.engine.randomness import derive
from xaitool.engine.smooth import Smoothed
from xaitool.errors import ComponentError
from xaitool.stream.source import Source, from_model, from_run, read_classes

CLASSES = ("ant", "bee", "cat")
TINY = {"use": "timm", "name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}
NOISE = {"noise": 0.2, "n": 3}
SMOOTH = {"use": "gradcam", "layers": ["layer2"], "smooth": NOISE}


def of_tiny(methods: list[Any], size: tuple[int, int] = (32, 32), **options: Any) -> Source:
    return from_model({**TINY, **options}, CLASSES, methods, random_weights=True, size=size)


def test_a_smoothed_method_is_the_mean_over_noisy_copies() -> None:
    source = of_tiny([SMOOTH])
    model = xaitool.ModelBundle(source.subject.module, (3, 32, 32), source.subject.cam_layers)
    images, targets = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])
    found = xaitool.explain(model, images, targets, SMOOTH, seed=4, mean=(0.5,) * 3, std=(0.25,) * 3)
    maps = []
    for number in range(3):
        draw = torch.Generator().manual_seed(derive(4, "smooth", number))
        noisy = images + 0.2 / 0.25 * torch.randn(3, 32, 32, generator=draw)
        maps.append(torch.from_numpy(xaitool.explain(model, noisy, targets, {**SMOOTH, "smooth": None}).maps))
    torch.testing.assert_close(torch.from_numpy(found.maps), torch.stack(maps).mean(0), atol=1e-5, rtol=0)
    assert isinstance(source.explainers["gradcam"], Smoothed)
    assert source.identity["methods"]["gradcam"]["smooth"] == {"flips": False, **NOISE}


@pytest.mark.parametrize(
    ("smooth", "said"),
    [
        ({"nois": 0.1}, "explainer 'gradcam': smooth: nois: unknown option; did you mean 'noise'"),
        ({"noise": 2}, "smooth: noise: should be less than or equal to 1"),
        ({}, "smooths nothing"),
        (3, "smooth: .*mapping"),
    ],
)
def test_smoothing_is_checked_as_a_recipe_has_it(smooth: Any, said: str) -> None:
    with pytest.raises(ComponentError, match=said):
        of_tiny([{"use": "gradcam", "smooth": smooth}])


def test_a_run_smooths_as_its_recipe_says(small_run: xaitool.Run, tmp_path: Path) -> None:
    """The same folder, its lock with a smoothed method in it."""
    for each in small_run.folder.iterdir():
        (tmp_path / each.name).symlink_to(each)
    lock = yaml.safe_load((small_run.folder / "recipe.lock.yaml").read_text())
    lock["explain"]["methods"] = [{"as": "soft", **SMOOTH}]
    (tmp_path / "recipe.lock.yaml").unlink()
    (tmp_path / "recipe.lock.yaml").write_text(yaml.safe_dump(lock))
    explainer = from_run(xaitool.Run(tmp_path), []).explainers["soft"]
    assert isinstance(explainer, Smoothed)
    assert (explainer.settings.noise, explainer.settings.n, explainer.seed) == (0.2, 3, lock["seed"])


def test_a_checkpoint_counts_by_its_content_however_it_is_named(tmp_path: Path) -> None:
    weights, found = tmp_path / "model.safetensors", []
    for seed in (1, 2):
        module = of_tiny([]).subject.module
        torch.manual_seed(seed)
        torch.save({key: torch.rand_like(each.float()) for key, each in module.state_dict().items()}, tmp_path / "w.pt")
        (tmp_path / "w.pt").replace(weights.with_suffix(".pt"))
        found.append(of_tiny([], checkpoint=str(weights.with_suffix(".pt"))).identity["checkpoint"])
        option = from_model(TINY, CLASSES, [], checkpoint=weights.with_suffix(".pt"), size=(32, 32))
        assert option.identity["checkpoint"] == found[-1]
    assert found[0] != found[1]
    assert None not in found


def test_code_is_not_executed_without_leave(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(
        "from pathlib import Path\nfrom torch import nn\nPath(__file__).with_name('executed').touch()\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))"
    )
    model = {"use": "python", "target": "my_nets:net", "folder": str(tmp_path)}
    with pytest.raises(ComponentError, match=r"target: this is Python code .*--allow-code"):
        from_model(model, CLASSES, [], random_weights=True, size=(16, 16))
    assert not (tmp_path / "executed").exists()
    assert from_model(model, CLASSES, [], random_weights=True, size=(16, 16), allow_code=True).subject.cam_layers
    assert (tmp_path / "executed").exists()


def test_classes_from_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n", "utf-8-sig")
    assert read_classes(tmp_path / "classes.txt") == ("ant", "bee")
