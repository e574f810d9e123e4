"""Explain a model that the user holds: images in, maps out, and the model as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xaitool.api import methods, targets
from xaitool.api.explanation import Explanation
from xaitool.api.images import taken
from xaitool.api.methods import Method
from xaitool.borrow import borrowed
from xaitool.contracts import Adjustable, Explainer, ModelBundle, Subject
from xaitool.engine.explain import explain as maps_of
from xaitool.engine.guard import Guard
from xaitool.engine.randomness import kept
from xaitool.engine.runtime import InPlace, Placement
from xaitool.engine.seams import Seam
from xaitool.errors import ContractError, ExplainError
from xaitool.judge.judge import native_size
from xaitool.layers import Layer, coarse_words, find_layers
from xaitool.recipe.resolve import Resolved

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
        layers = () if cam_layers else find_layers(module, place.to_device(given.tensor[:2]))
        known = cam_layers or tuple(each.name for each in reversed(layers))
        subject = Subject(module, known, given.mean, given.std)
        explainers = {label: methods.build(component, seed) for label, component in wanted.items()}
        maps = {
            label: checked_maps(component, explainers[label], subject, given.tensor, chosen, seed=seed, place=place)
            for label, component in wanted.items()
        }
    return Explanation(
        subject=subject,
        images=given,
        logits=logits,
        targets=chosen,
        classes=names,
        explainers=explainers,
        maps_by_method={label: each.numpy() for label, each in maps.items()},
        one=isinstance(method, str | Mapping),
        layers=layers_in_use(explainers, subject, given.tensor, place),
        notes=_notes(explainers, subject, layers),
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


def checked_maps(
    component: Resolved,
    explainer: Explainer,
    subject: Subject,
    images: Tensor,
    targets: Tensor,
    *,
    seed: int,
    place: Placement,
) -> Tensor:
    """One explainer's maps (N×H×W float32, on the CPU), checked; what it leaves changed in the model is an error.

    Raises ContractError or PluginError in the plugin's name, and puts the model back.
    """
    guard = Guard(subject.module)
    try:
        with component.offer.blamed("explain"):
            found = maps_of(explainer, subject, images, targets, seed=seed, runtime=place)
        if changes := ", ".join(guard.changes()):
            raise ContractError(f"plugin {component.offer.plugin} left the model changed ({changes}); it was put back")
    finally:
        guard.restore()
    return Seam(component).maps(found, images)


def layers_in_use(
    explainers: Mapping[str, Explainer], subject: Subject, images: Tensor, place: Placement
) -> dict[str, str]:
    """The layer that each explainer that looks at one looks at, and its grid: ``layer4 (7x7)``."""
    found = {}
    for label, explainer in explainers.items():
        if isinstance(explainer, Adjustable):
            height, width = native_size(explainer, subject, place.to_device(images[:1]))
            found[label] = f"{explainer.current(subject)} ({height}x{width})"
    return found


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


def _notes(explainers: Mapping[str, Explainer], subject: Subject, layers: Sequence[Layer]) -> tuple[str, ...]:
    """What a reader should know of the layers that were looked at."""
    found = {each.name: each for each in layers}
    notes = []
    for label, explainer in explainers.items():
        used = found.get(explainer.current(subject)) if isinstance(explainer, Adjustable) else None
        if used and (words := coarse_words(used, layers)):
            notes.append(f"{label}: {words}")
    return tuple(notes)
