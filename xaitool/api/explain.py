"""Explain a model that the user holds: images in, maps out, and the model as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xaitool.api import methods, targets
from xaitool.api.explanation import Explanation
from xaitool.api.images import taken
from xaitool.api.maps import maps_by_method
from xaitool.api.methods import Method
from xaitool.borrow import borrowed
from xaitool.contracts import Explainer, ModelBundle, Subject
from xaitool.engine.looking import coarse_grids, layers_in_use
from xaitool.engine.randomness import kept
from xaitool.engine.runtime import InPlace, Placement
from xaitool.errors import ExplainError
from xaitool.layers import find_layers, grids_of

# Images shown to the model at a time.
_BATCH = 32


def explain(
    model: nn.Module | ModelBundle,
    images: Any,
    targets: Any = None,
    method: Method | Sequence[Method] = "gradcam",
    *,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | Sequence[int] | None = None,
    seed: int = 0,
) -> Explanation:
    """Where a model sees its evidence for a class, image by image.

    model: N×C×H×W float32 in, N×classes logits out. It is explained in eval mode, where it is, and comes back as it
    was: train flags, hooks, gradients, device and the random state; also after an error.
    images: a float tensor N×C×H×W, normalised already; or a uint8 tensor N×3×H×W, PIL images, uint8 arrays H×W×3 or
    paths, and then `mean` and `std` (one number a channel, for pixel values in [0, 1]) and, where images differ in
    size, `size` (pixels, or (height, width); a picture is scaled until it covers it, and cut out of the middle).
    targets: the class to explain, for all images or one each: a number, a name of `classes`, a tensor of numbers; None:
    the class that the model predicts.
    method: an explainer's name, a mapping with its options as a recipe has them (``{"use": "gradcam", "layers":
    ["layer3"]}``; ``"smooth": {"noise": 0.1}`` among them), or a list of such: then maps are by method.
    seed: of whatever the explainer draws at random.
    Raises ExplainError, ImageError, ComponentError or PluginError, which say what is wrong.
    """
    module, cam_layers = _held(model)
    wanted = methods.components(method)
    given = taken(images, mean, std, size)
    place = InPlace.of(module)
    with kept():
        logits = predict(module, given.tensor, place)
        chosen, names = _targets(targets, logits, classes)
        known = cam_layers or tuple(
            each.name for each in reversed(find_layers(module, place.to_device(given.tensor[:2])))
        )
        subject = Subject(module, known, given.mean, given.std)
        explainers = {label: methods.build(component, seed) for label, component in wanted.items()}
        maps = maps_by_method(wanted, explainers, subject, given.tensor, chosen, seed=seed, place=place)
        shown = place.to_device(given.tensor[:2])
        in_use = layers_in_use(explainers, subject, shown)
        notes = coarse_grids(explainers, subject, shown, grids_of(module, shown, known))
    return Explanation(
        subject=subject,
        images=given,
        logits=logits,
        targets=chosen,
        classes=names,
        explainers=explainers,
        maps_by_method={label: each.numpy() for label, each in maps.items()},
        one=isinstance(method, str | Mapping),
        layers=in_use,
        notes=tuple(notes),
        seed=seed,
    )


def predict(module: nn.Module, images: Tensor, place: Placement) -> Tensor:
    """The logits of a borrowed model in eval mode: N×classes float32, on the CPU. Raises ExplainError."""
    found = []
    with borrowed(module), torch.no_grad():
        module.eval()
        for some in images.split(_BATCH):
            try:
                logits = module(place.to_device(some))
            except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
                shape = " x ".join(map(str, images.shape[1:]))
                raise ExplainError(f"the model fails on images of {shape}: {error}") from error
            if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(some):
                kind = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise ExplainError(f"the model should give logits of N x classes for {len(some)} images, not {kind}")
            found.append(logits.float().cpu())
    logits = torch.cat(found)
    if not logits.isfinite().all():
        raise ExplainError("the model gives logits that are NaN or infinite")
    return logits


def _held(model: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """The module, and its layers for CAM methods where somebody has said them."""
    match model:
        case ModelBundle():
            return model.module, model.cam_layers
        case nn.Module():
            return model, ()
        case Explainer():
            raise ExplainError(
                "xaitool.explain takes a model first; an explainer of your own is called by "
                "xaitool.explain_with(explainer, subject, images, targets)"
            )
    raise ExplainError(f"the model should be a torch.nn.Module or a xaitool.ModelBundle, not {type(model).__name__}")


def _targets(given: Any, logits: Tensor, classes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    names = targets.check_classes(classes, logits.shape[1])
    return targets.resolved(given, logits, tuple(classes)), names
