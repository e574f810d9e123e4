"""The built-in plugins pass the conformance kit."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from xaitool.testing import conformance


def photographs() -> Path:
    """A tree of PNG files as the CIFAR-10 plugin takes it: noise, 6 training and 3 test images a class."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for name in ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def digits() -> Path:
    """MNIST's four files, of noise."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 60), ("t10k", 30)):
        pixels, labels = generator.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = b"".join(number.to_bytes(4, "big") for number in (0x800 + array.ndim, *array.shape))
            (raw / f"{prefix}-{kind}-ubyte").write_bytes(head + array.tobytes())
    return folder


test_built_in_plugins = conformance(
    "xaitool",
    options={
        "dataset/cifar10": {"root": str(photographs()), "augment": ["HorizontalFlip"]},
        "dataset/image_folder": {"root": str(photographs()), "size": 24, "augment": ["HorizontalFlip"]},
        "dataset/shapes": {"train": 96, "test": 48, "augment": ["HorizontalFlip"]},
        "dataset/torchvision": {"name": "MNIST", "root": str(digits()), "augment": ["HorizontalFlip"]},
        "model/resnet18": {"stem": "cifar"},
        "model/torchvision": {"name": "resnet18"},
        "model/python": {"target": "timm.models.resnet:resnet10t", "arguments": {"num_classes": 4}},
    },
)
