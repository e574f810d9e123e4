"""Checks for models: logits that depend on the image alone, weights that can be saved, trained and looked into."""

from __future__ import annotations

import math
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from xaitool.contracts import ModelBundle
from xaitool.engine.randomness import kept, seed_all
from xaitool.testing.checks import CheckError, check, expect
from xaitool.testing.specimen import NUM_CLASSES, Specimen

# As floating-point sums in another order differ, and no more: of the largest logit, or of 1 where that is smaller.
TOLERANCE = 1e-5
# Learning eight images by heart: with Adam, at the first of these rates or else at the second.
IMAGES, STEPS, RATES = 8, 200, (1e-3, 1e-4)

# How far above ln(classes) a loss may be before training. ResNets, ConvNeXts and transformers start up to 0.15 above,
# and 0.5 to 5 above it once their last layer is multiplied by 12.
BUILDS, LOUDEST = 3, 0.4


@check("logits", "model")
@kept()
def logits(specimen: Specimen) -> None:
    """One image and three give finite float32 logits, a row an image and a column a class."""
    bundle = _built(specimen)
    expect(
        tuple(bundle.input_size) == specimen.input_size,
        f"it says it was built for {tuple(bundle.input_size)}, and was asked for {specimen.input_size}",
    )
    for count in (1, 3):
        found = _evaluated(bundle.module, _images(specimen, count))
        expect(isinstance(found, Tensor), f"{count} images give a {type(found).__name__}, not a tensor of logits")
        shape, wanted = tuple(found.shape), (count, NUM_CLASSES)
        expect(shape == wanted, f"{count} images give logits of {shape}, not {wanted}")
        expect(found.dtype == torch.float32, f"the logits are {found.dtype}, not torch.float32")
        wrong = int((~found.isfinite()).sum())
        expect(not wrong, f"{wrong} of {found.numel()} logits are NaN or infinite")


@check("eval-deterministic", "model")
@kept()
def eval_deterministic(specimen: Specimen) -> None:
    """In eval mode the same images give exactly the same logits, whatever the random state."""
    module, images = _built(specimen).module, _images(specimen, 3)
    first = _evaluated(module, images)
    seed_all(1)
    off = _distance(first, _evaluated(module, images))
    expect(off == 0, f"in eval mode the same images give other logits the second time, by up to {off:.3g}")


@check("batch-invariant", "model")
@kept()
def batch_invariant(specimen: Specimen) -> None:
    """In eval mode an image's logits do not depend on the images beside it."""
    module, images = _built(specimen).module, _images(specimen, 4)
    together = _evaluated(module, images)
    alone = torch.cat([_evaluated(module, image[None]) for image in images])
    off = _distance(together, alone) / max(1.0, float(together.abs().max()))
    expect(off <= TOLERANCE, f"alone, an image has other logits than in a batch of 4: by {off:.3g} of the largest")


@check("state-dict-round-trip", "model")
@kept()
def state_dict_round_trip(specimen: Specimen) -> None:
    """Weights saved as safetensors and loaded into a second build give exactly the same logits."""
    module, images = _built(specimen).module, _images(specimen, 4)
    with torch.no_grad():
        module.train()(images)  # so that the norms' running statistics are not those they start with
    saved = save({name: value.contiguous().clone() for name, value in module.state_dict().items()})
    twin = _built(specimen, seed=1).module
    try:
        twin.load_state_dict(load(saved))
    except RuntimeError as error:
        raise CheckError(f"a second build does not take the first one's state dict: {error}") from error
    off = _distance(_evaluated(module, images), _evaluated(twin, images))
    expect(off == 0, f"a second build with the same state dict gives other logits, by up to {off:.3g}")


@check("gradients", "model")
@kept()
def gradients(specimen: Specimen) -> None:
    """In a step of training every trainable parameter gets a finite gradient."""
    module = _built(specimen).module.train()
    trainable = {name: each for name, each in module.named_parameters() if each.requires_grad}
    expect(trainable, "no parameter is trainable")
    _loss(module, _images(specimen, 4)).backward()
    without = [name for name, each in trainable.items() if each.grad is None]
    expect(not without, f"{len(without)} of {len(trainable)} parameters get no gradient: {_some(without)}")
    broken = [name for name, each in trainable.items() if each.grad is not None and not each.grad.isfinite().all()]
    expect(not broken, f"{len(broken)} of {len(trainable)} parameters get a NaN or infinite one: {_some(broken)}")


@check("overfits", "model")
@kept()
def overfits(specimen: Specimen) -> None:
    """Eight random images can be learnt by heart: 200 steps of Adam get all of them right and halve the loss.

    In train mode, where the norms see the same batch each time. A network that does not learn may have a few images
    right by chance, but hardly ever eight, and its loss stays.
    """
    tried = []
    for rate in RATES:
        right, first, last = _learn(_built(specimen).module.train(), _images(specimen, IMAGES), rate)
        if right == IMAGES and last < first / 2:
            return
        tried.append(
            f"at a rate of {rate:g}, {right} of {IMAGES} are right and the loss goes from {first:.2f} to {last:.2f}"
        )
    raise CheckError(f"{STEPS} steps of Adam do not teach it {IMAGES} images: {'; '.join(tried)}")


@check("initial-loss", "model")
@kept()
def initial_loss(specimen: Specimen) -> None:
    """Before training the loss (train mode, mean of three builds) is at most ln(classes) + 0.4; pretrained: any.

    One draw of the weights may be lucky, hence three. timm's MobileNets and EfficientNets start 1.5 to 5 above it, for
    their last layer has large weights where there are few classes: give these an expected failure.
    """
    if getattr(specimen.config(), "pretrained", False):
        return
    images = _images(specimen, 32)
    with torch.no_grad():
        losses = [float(_loss(_built(specimen, seed).module.train(), images)) for seed in range(BUILDS)]
    found, unsure = sum(losses) / BUILDS, math.log(NUM_CLASSES)
    expect(
        found <= unsure + LOUDEST,
        f"before training the loss is {found:.2f}; ln {NUM_CLASSES} = {unsure:.2f} was expected, or at most {LOUDEST} "
        "more: the network starts sure of itself, and wrong",
    )


@check("cam-layers", "model")
@kept()
def cam_layers(specimen: Specimen) -> None:
    """CAM layers that are named are there, from input to output, and give maps larger than 1×1, or several tokens."""
    bundle = _built(specimen)
    parts = dict(bundle.module.named_modules())
    outputs = _outputs(bundle.module, _images(specimen, 2))
    for name in bundle.cam_layers:
        expect(name in parts, f"the CAM layer {name!r} is not in the network")
        expect(name in outputs, f"the CAM layer {name!r} takes no part in a forward pass")
        output = outputs[name]
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        expect(
            _points(output), f"the CAM layer {name!r} gives {shape}, not N x C x h x w larger than 1 x 1, nor N x T x C"
        )
    ran = [name for name in outputs if name in bundle.cam_layers]
    expect(ran == list(bundle.cam_layers), f"the CAM layers are {_some(bundle.cam_layers)}, but run as {_some(ran)}")


def _built(specimen: Specimen, seed: int = 0) -> ModelBundle:
    """A build with weights drawn from the seed."""
    seed_all(seed)
    bundle = specimen.build()
    expect(isinstance(bundle, ModelBundle), f"the factory returns a {type(bundle).__name__}, not a ModelBundle")
    return bundle  # type: ignore[no-any-return]


def _images(specimen: Specimen, count: int) -> Tensor:
    return torch.randn(count, *specimen.input_size, generator=torch.Generator().manual_seed(2))


def _evaluated(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(images)  # type: ignore[no-any-return]


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _labels(images: Tensor) -> Tensor:
    return torch.arange(len(images)) % NUM_CLASSES


def _loss(module: nn.Module, images: Tensor) -> Tensor:
    return F.cross_entropy(module(images), _labels(images))


def _learn(module: nn.Module, images: Tensor, rate: float) -> tuple[int, float, float]:
    """Train until all is learnt, or for STEPS steps: how many images are right, the first and the last loss."""
    optimizer, labels = torch.optim.Adam(module.parameters(), rate), _labels(images)
    losses: list[float] = []
    right = 0
    for _ in range(STEPS):
        logits = module(images)
        loss = F.cross_entropy(logits, labels)
        losses.append(float(loss.detach()))
        right = int((logits.argmax(1) == labels).sum())
        if right == len(images) and losses[-1] < losses[0] / 2:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return right, losses[0], losses[-1]


def _outputs(module: nn.Module, images: Tensor) -> dict[str, Any]:
    """What each part gives when it runs for the first time, by its name, in the order of running."""
    outputs: dict[str, Any] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            outputs.setdefault(name, output)

        return hook

    handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules()]
    _evaluated(module, images)
    for handle in handles:
        handle.remove()
    return outputs


def _points(output: Any) -> bool:
    """Whether an output says where something is: N×C×h×w larger than 1×1, or N×T×C with several tokens."""
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        return False
    return math.prod(output.shape[2:]) > 1 if output.ndim == 4 else output.shape[1] > 1


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
