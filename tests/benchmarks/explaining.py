"""What an explanation costs: Grad-CAM and Grad-CAM++ against a plain forward pass, and against their peer.

    python tests/benchmarks/explaining.py            # or: make bench

All of it in one process, on one network with random weights, in interleaved rounds (A B C A B C …); medians, and ratios
of the medians. The peer is pytorch-grad-cam as its own documentation uses it, on the batch and image by image, as the
tutorial does that xaitool began from.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import torch
import torchvision
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import xaitool

# Name, side of the images, images: the reference recipe's size, and that of ImageNet.
CASES = [("ResNet-18, 32×32, stem for small images", 32, 64), ("ResNet-18, 224×224", 224, 16)]


def network(side: int) -> torch.nn.Module:
    model = torchvision.models.resnet18(num_classes=10)
    if side == 32:
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
    return model.eval()


def contestants(model: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the plain forward pass first."""
    subject = xaitool.Subject(model, cam_layers=("layer4",))
    ours = {name: xaitool.build("explainer", name, batch_size=len(images)) for name in ("gradcam", "gradcam++")}
    classes = [ClassifierOutputTarget(int(target)) for target in targets]

    def forward() -> object:
        with torch.no_grad():
            return model(images)

    def documented(method: type, one_by_one: bool = False) -> object:
        with method(model=model, target_layers=[model.layer4]) as cam:
            if not one_by_one:
                return cam(input_tensor=images, targets=classes)
            return [cam(input_tensor=image[None], targets=[each]) for image, each in zip(images, classes, strict=True)]

    return {
        "forward pass": forward,
        "xaitool, Grad-CAM": lambda: ours["gradcam"].explain(subject, images, targets),
        "xaitool, Grad-CAM++": lambda: ours["gradcam++"].explain(subject, images, targets),
        "pytorch-grad-cam, Grad-CAM": lambda: documented(GradCAM),
        "pytorch-grad-cam, Grad-CAM++": lambda: documented(GradCAMPlusPlus),
        "pytorch-grad-cam, one by one": lambda: documented(GradCAM, one_by_one=True),
    }


def seconds(timed: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each, over interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, function in timed.items():
            began = time.perf_counter()
            function()
            if turn:  # the first round warms up
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("xaitool", "torch", "grad-cam"))
    print(f"{platform.machine()}, {arguments.threads} thread(s), {arguments.rounds} rounds; {libraries}\n")
    for title, side, count in CASES:
        torch.manual_seed(0)
        model, images, targets = network(side), torch.randn(count, 3, side, side), torch.randint(10, (count,))
        taken = seconds(contestants(model, images, targets), arguments.rounds)
        plain = taken["forward pass"]
        print(f"| {title}, {count} images | Seconds | Times a forward pass |\n| --- | ---: | ---: |")
        for name, each in taken.items():
            print(f"| {name} | {each:.3f} | {each / plain:.2f} |")
        print()


if __name__ == "__main__":
    main()
