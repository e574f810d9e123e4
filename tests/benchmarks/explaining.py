"""What an explanation costs: CAM methods against a plain forward pass, and against their peers.

    python tests/benchmarks/explaining.py            # or: make bench

All of it in one process, on one network, trained for a minute to tell shapes, and test images of these, in interleaved
rounds (A B C A B C …); medians, and ratios of the medians. The peers are used as their own documentation does:
pytorch-grad-cam on the batch, and image by image as the tutorial does that xaitool began from; captum's LayerGradCam;
torch-cam, where it is installed (``pip install torchcam``). "As in a run" is ``xaitool.explain_with``, as runs call it,
on the network as they place it on the CPU: its weights in the memory format that suits convolutions. Torch has as many
threads as it takes by itself. Peak memory is that of tensors, beyond the model and the images.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from timing import interleaved, settings
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

import xaitool

# Name, side of the images, images explained, steps of training: the reference recipe's size, and that of ImageNet.
CASES = [("ResNet-18, 32×32, stem for small images", 32, 64, 40), ("ResNet-18, 224×224", 224, 16, 60)]
SHAPES = ("circle", "cross", "star")
QUICK = ("hirescam", "layercam", "xgradcam", "gradcam_elementwise", "eigencam", "eigengradcam", "kpcacam", "fem")
ALL = ("gradcam", "gradcam++", *QUICK, "shapleycam", "finercam")


def trained(side: int, batch: int, steps: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A network that tells shapes, and test images (N×3×side×side), as many as a step had, with their classes (N)."""
    data = xaitool.build(
        "dataset", "shapes", given={"seed": 1}, size=side, train=batch * steps, test=batch, classes=SHAPES, clutter=0
    )
    model = torchvision.models.resnet18(num_classes=len(SHAPES))
    if side == 32:
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for images, labels in DataLoader(data.train, batch):
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    images, labels = next(iter(DataLoader(data.test, batch)))
    return model.eval(), images, labels


def contestants(
    model: nn.Module, images: Tensor, targets: Tensor, runtime: xaitool.Runtime
) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the plain forward pass first."""
    subject = xaitool.Subject(model, cam_layers=("layer4",))
    names = (*ALL, "ablationcam", "fullgrad")
    ours: dict[str, Any] = {name: xaitool.build("explainer", name) for name in names}
    others = (targets + 1) % len(SHAPES)
    placed = xaitool.Subject(runtime.place(copy.deepcopy(model)), cam_layers=("layer4",))
    four = [(ours[name], each) for name in ("gradcam", "gradcam++") for each in (targets, others)]
    twelve = [(ours[name], targets) for name in ALL]

    def forward(module: nn.Module) -> object:
        with torch.no_grad():
            return module(images)

    def documented(method: type, of: Tensor = targets, one_by_one: bool = False) -> object:
        classes = [ClassifierOutputTarget(int(target)) for target in of]
        with method(model=model, target_layers=[model.layer4]) as cam:
            if not one_by_one:
                return cam(input_tensor=images, targets=classes)
            return [cam(input_tensor=image[None], targets=[each]) for image, each in zip(images, classes, strict=True)]

    def documented_four(one_by_one: bool = False) -> object:
        return [documented(each, of, one_by_one) for each in (GradCAM, GradCAMPlusPlus) for of in (targets, others)]

    def captum() -> object:
        maps = LayerGradCam(model, model.layer4).attribute(images, targets, relu_attributions=True)
        return nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")

    def one(name: str) -> Callable[[], object]:
        return lambda: ours[name].explain(subject, images, targets)

    found = {
        "forward pass": lambda: forward(model),
        "xaitool, Grad-CAM": one("gradcam"),
        "xaitool, Grad-CAM++": one("gradcam++"),
        "forward pass, as in a run": lambda: forward(placed.module),
        "xaitool, Grad-CAM, as in a run": lambda: xaitool.explain_with(
            ours["gradcam"], placed, images, targets, runtime=runtime
        ),
        "xaitool, both for two classes": lambda: four[0][0].explain_together(subject, images, four),
        "xaitool, twelve methods together": lambda: twelve[0][0].explain_together(subject, images, twelve),
        "xaitool, Ablation-CAM": one("ablationcam"),
        "xaitool, FullGrad": one("fullgrad"),
        "pytorch-grad-cam, Grad-CAM": lambda: documented(GradCAM),
        "pytorch-grad-cam, Grad-CAM++": lambda: documented(GradCAMPlusPlus),
        "pytorch-grad-cam, one by one": lambda: documented(GradCAM, one_by_one=True),
        "pytorch-grad-cam, both for two classes": documented_four,
        "pytorch-grad-cam, both for two classes, one by one": lambda: documented_four(one_by_one=True),
        "captum, Grad-CAM": captum,
    }
    if importlib.util.find_spec("torchcam"):
        from torchcam.methods import GradCAM as TorchCAM

        def torchcam() -> object:
            with TorchCAM(model, target_layer="layer4") as cam:
                maps = cam(targets.tolist(), model(images))[0]
            return nn.functional.interpolate(maps[:, None], images.shape[2:], mode="bilinear")

        found["torch-cam, Grad-CAM"] = torchcam
    return found


def megabytes(function: Callable[[], object]) -> float:
    """The most that its tensors take at a time, beyond what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        function()
    with tempfile.TemporaryDirectory() as folder:
        profiled.export_chrome_trace(f"{folder}/trace.json")
        events = json.loads(Path(folder, "trace.json").read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    return max(itertools.accumulate(bytes_more for _, bytes_more in changes)) / 2**20


def main() -> None:
    peers = ["grad-cam", "captum", *(["torchcam"] if importlib.util.find_spec("torchcam") else [])]
    found = settings(__doc__, rounds=5, peers=peers, threads=torch.get_num_threads())
    for title, side, count, steps in CASES:
        torch.manual_seed(0)
        model, images, targets = trained(side, count, steps)
        right = (model(images).argmax(1) == targets).float().mean()
        with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu")) as runtime:
            timed = contestants(model, images, targets, runtime)
            taken = interleaved(timed, found.rounds)
            memory = {name: megabytes(function) for name, function in timed.items()}
        print(f"{title}: trained for {steps} steps, {right:.0%} of the test images right\n")
        plain = taken["forward pass"]
        print(f"| {title}, {count} images | Seconds | Times a forward pass | Peak, MB |\n| --- | ---: | ---: | ---: |")
        for name, each in taken.items():
            print(f"| {name} | {each:.3f} | {each / plain:.2f} | {memory[name]:.0f} |")
        print()


if __name__ == "__main__":
    main()
