"""What explains: methods with all that belongs to them, weights by their content, layers that are too coarse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import xaitool
from xaitool.data.decode import decode
from xaitool.engine.randomness import derive
from xaitool.engine.smooth import Smoothed
from xaitool.errors import ComponentError, ExplainError
from xaitool.stream.listing import Listing, first_files
from xaitool.stream.source import Source, from_model, from_run, read_classes

CLASSES = ("ant", "bee", "cat")
TINY = {"use": "timm", "name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}
NOISE = {"noise": 0.2, "n": 3}
NET = (
    "from pathlib import Path\nfrom torch import nn\n"
    "def net(num_classes):\n"
    "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))"
)
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


def with_verdicts(run: xaitool.Run, folder: Path, changed: dict[str, Any]) -> xaitool.Run:
    """The same run, with other verdicts."""
    for each in run.folder.iterdir():
        if each.name != "verdicts.json":
            (folder / each.name).symlink_to(each)
    (folder / "verdicts.json").write_text(json.dumps({**run.verdicts, **changed}))
    return xaitool.Run(folder)


@pytest.mark.parametrize("written", [True, False])
def test_a_run_that_had_too_few_images_to_choose_by_lends_the_layer_it_looked_at(
    small_run: xaitool.Run, tmp_path: Path, written: bool
) -> None:
    """Whether it has tried and found too few, or had so few that nothing was tried."""
    record = small_run.verdicts["gradcam++"]
    assert from_run(small_run, ["gradcam++"]).warnings == ()
    tried = {**record["layers"], "used": "layer3", "automatic": False, "too_few": True}
    run = with_verdicts(small_run, tmp_path, {"gradcam++": {**record, "layers": tried if written else None}})
    source, used = from_run(run, ["gradcam++"]), "layer3" if written else "layer4"
    why = ", having too few test images for it" if written else ""
    assert source.layers["gradcam++"].startswith(used)
    assert source.warnings[0] == (
        f"gradcam++: the run chose no layer by measuring{why}; {used} is looked at, as it was there"
    )
    with pytest.raises(ExplainError, match="name the layer here"):  # another method than the run's
        from_run(run, [{"use": "gradcam++", "layers": "auto", "as": "new"}])


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
    (tmp_path / "my_nets.py").write_text(f"{NET}\nPath(__file__).with_name('executed').touch()\n")
    model = {"use": "python", "target": "my_nets:net", "folder": str(tmp_path)}
    with pytest.raises(ComponentError, match=r"target: this is Python code .*--allow-code"):
        from_model(model, CLASSES, [], random_weights=True, size=(16, 16))
    assert not (tmp_path / "executed").exists()
    assert from_model(model, CLASSES, [], random_weights=True, size=(16, 16), allow_code=True).subject.cam_layers
    assert (tmp_path / "executed").exists()


def test_classes_from_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n", "utf-8-sig")
    assert read_classes(tmp_path / "classes.txt") == ("ant", "bee")


def test_the_grid_is_told_and_one_that_is_too_coarse_with_finer_ones() -> None:
    source = of_tiny(["gradcam", {"use": "gradcam", "layers": ["layer2"], "as": "fine"}], size=(16, 24))
    assert source.layers == {"gradcam": "layer4 (2x3)", "fine": "layer2 (8x12)"}
    untrained, coarse = source.warnings
    assert "learnt nothing" in untrained
    assert coarse.startswith("gradcam: layer4 has a grid of 2x3 only")
    assert "finer are layer3 (4x6), layer2 (8x12)" in coarse
    assert not of_tiny(["gradcam"], size=(32, 32)).warnings[1:]


def test_layers_are_looked_for_with_the_users_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaitool.stream import source as sources

    draw = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png")]
    paths[0].write_bytes(b"broken")
    for path in paths[1:]:
        Image.fromarray(draw.integers(0, 256, (40, 32, 3), np.uint8)).save(path)
    (tmp_path / "my_nets.py").write_text(NET)
    shown: list[torch.Tensor] = []
    find_layers = sources.find_layers
    monkeypatch.setattr(sources, "find_layers", lambda *given: shown.append(given[1]) or find_layers(*given))
    for model in ({"use": "python", "target": "my_nets:net", "folder": str(tmp_path)}, TINY):
        shown.clear()
        options = {"random_weights": True, "size": (16, 16), "allow_code": True}
        source = from_model(model, CLASSES, [], examples=first_files([tmp_path], tmp_path / "out", 5), **options)
        expected = [source.preprocess(decode(path)) for path in paths[1:3]]
        assert [torch.equal(each, torch.stack(expected)) for each in shown] == [True]


def test_the_first_files_are_those_of_the_list(tmp_path: Path) -> None:
    for name in ("b/1", "a/2", "a/10", "out/0", ".hidden", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = Listing.make(tmp_path / ".files", [tmp_path], tmp_path / "out")
    first = first_files([tmp_path], tmp_path / "out", 3)
    assert first == [each.path for each in listing.part(0, 3)]
    assert [path.name for path in first] == ["10", "2", "1"]
    assert first_files([tmp_path / "nowhere"], tmp_path, 3) == [tmp_path / "nowhere"]


MEMORY = """
import resource, sys
import subprocess
import sys
from pathlib import Path
from xaitool.engine.progress import Silent
from xaitool.engine.runtime import open_runtime
from xaitool.recipe.schema import RuntimeSettings
from xaitool.stream.explain import explain_files
from xaitool.stream.source import from_model

source = from_model({tiny}, ("a", "b"), [], random_weights=True, size=(128, 128))
with open_runtime(RuntimeSettings(device="cpu")) as runtime:
    for name in ("few", "many"):
        folder = Path(sys.argv[1]) / name
        explain_files(source, [folder], folder.with_suffix(".out"), runtime=runtime, display=Silent(), shard=40)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux alone")
def test_ten_times_as_many_images_take_no_more_memory(tmp_path: Path) -> None:
    """Of the whole process, torch's memory too; the images that the model is shown are 200 kB each, 80 MB in all."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "one.png")
    for name, count in (("few", 40), ("many", 400)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number:03d}.png").hardlink_to(tmp_path / "one.png")
    program = [sys.executable, "-c", MEMORY.format(tiny=TINY), str(tmp_path)]
    few, many = map(int, subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout.split())
    assert many < few + 40  # MB
