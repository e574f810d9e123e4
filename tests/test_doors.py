"""A large network of torchvision's and one of timm's through each door: the same maps of the same images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

import xaitool
from xaitool.cli import main

SIDE, CLASSES = 64, ("ant", "bee")
MEAN, STD = [0.5, 0.4, 0.6], [0.25, 0.2, 0.3]
MODELS = {
    "resnet50": {"use": "torchvision", "name": "resnet50"},
    "vit": {"use": "timm", "name": "vit_tiny_patch16_224"},
}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with a folder for each class; the images to explain are those of the test."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / "in" / split / name).mkdir(parents=True)
            for number in range(2):
                pixels = draw.integers(0, 256, (SIDE + 20, SIDE, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "in" / split / name / f"{number}.png")
    return tmp_path / "in"


@pytest.mark.parametrize("name", MODELS)
def test_each_door_gives_the_same_maps(name: str, photographs: Path, tmp_path: Path) -> None:
    model = MODELS[name]
    torch.manual_seed(0)
    given = {"num_classes": len(CLASSES), "input_size": (3, SIDE, SIDE)}
    module = xaitool.build("model", model["use"], given=given, name=model["name"]).module
    for part in module.modules():
        if isinstance(part, torch.nn.Linear) and part.out_features == 2:
            torch.nn.init.normal_(part.weight, std=0.1)  # timm's heads are zero before training
    weights = tmp_path / "weights.safetensors"
    save_file(module.state_dict(), weights)
    paths = sorted((photographs / "test").rglob("*.png"))

    held = xaitool.explain(module, paths, mean=MEAN, std=STD, size=SIDE, classes=CLASSES)
    assert held.maps.std(axis=(1, 2)).max() > 0.05  # maps, not plains; of so few cells, some speak against their class

    run = xaitool.run(recipe(tmp_path, model, weights, photographs), out=tmp_path / "runs")
    order = np.argsort([each["id"] for each in run.explained])
    np.testing.assert_allclose(run.maps("gradcam")[order], held.maps, atol=1e-3)

    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    options = ["--images", str(photographs / "test"), "--quiet", "--method", "gradcam"]
    numbers = ["--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD)), "--size", str(SIDE)]
    by_name = ["--model", f"{model['use']}/{model['name']}", "--checkpoint", str(weights), *numbers]
    main(
        ["explain", *by_name, "--classes", str(tmp_path / "classes.txt"), *options, "--out", str(tmp_path / "by-name")]
    )
    main(["explain", str(run.folder), *options, "--out", str(tmp_path / "by-run")])
    for out in ("by-name", "by-run"):
        saved = np.stack([np.load(path) for path in sorted((tmp_path / out / "00000").glob("*.npy"))])
        np.testing.assert_allclose(saved, held.maps, atol=1e-3)
    shutil.rmtree(tmp_path / "runs")  # a hundred megabytes
    weights.unlink()


def recipe(folder: Path, model: dict[str, str], weights: Path, photographs: Path) -> Path:
    """A recipe without training."""
    text: dict[str, Any] = {
        "recipe": 1,
        "name": "door",
        "dataset": {"use": "image_folder", "root": str(photographs), "size": SIDE, "mean": MEAN, "std": STD},
        "model": {**model, "checkpoint": str(weights)},
        "explain": {
            "select": {"misclassified": 4, "correct": 4},
            "targets": ["predicted"],
            "methods": ["gradcam"],
            "metrics": [],
            "judge": {"images": 0},
            "triage": False,
        },
        "report": {"html": False},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text))
    return folder / "recipe.yaml"
