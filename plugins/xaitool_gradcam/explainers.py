"""CAM explainers: the layers they look at, and one forward pass for all that is asked about the same images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Explainer, Subject
from xaitool.errors import ExplainError, NoGridError
from xaitool.layers import find_layers, named_layers
from xaitool_gradcam import masks, methods, projections
from xaitool_gradcam.config import Config
from xaitool_gradcam.forward import check_precision, check_targets, forward
from xaitool_gradcam.maps import combined
from xaitool_gradcam.methods import View


@dataclass(frozen=True)
class Method:
    """How a CAM method works.

    raw: evidence on a layer's grid. scores: what the gradients are of. graph: whether it takes gradients; twice: and
    gradients of those. class_specific: whether its maps depend on the target at all.
    """

    raw: Callable[[View, str], Tensor]
    scores: Callable[[Tensor, Tensor], Tensor] = methods.class_scores
    graph: bool = True
    twice: bool = False
    class_specific: bool = True


METHODS = {
    "gradcam": Method(methods.gradcam),
    "gradcam++": Method(methods.gradcam_plus_plus),
    "hirescam": Method(methods.hirescam),
    "layercam": Method(methods.layercam),
    "xgradcam": Method(methods.xgradcam),
    "gradcam_elementwise": Method(methods.gradcam_elementwise),
    "shapleycam": Method(methods.shapleycam, twice=True),
    "finercam": Method(methods.gradcam, methods.contrast_with_similar),
    "eigengradcam": Method(projections.eigengradcam),
    "eigencam": Method(projections.eigencam, graph=False, class_specific=False),
    "kpcacam": Method(projections.kpcacam, graph=False, class_specific=False),
    "fem": Method(methods.fem, graph=False, class_specific=False),
    "scorecam": Method(masks.scorecam, graph=False),
    "ablationcam": Method(masks.ablationcam, graph=False),
}


class CAM:
    """An explainer (:class:`xaitool.contracts.Explainer`) by one of the methods above.

    Maps are in [0, 1], each scaled by its own extremes and interpolated bilinearly to the image's size, as
    pytorch-grad-cam's are; all zero where no pixel speaks for the target.
    """

    def __init__(self, name: str, config: Config) -> None:
        self.name = name
        self.config = config
        self.method = method = METHODS[name]
        self.automatic = config.layers == "auto"
        self.class_specific = method.class_specific

    def alternatives(self, subject: Subject) -> dict[str, Explainer]:
        """See :class:`xaitool.contracts.Adjustable`: the same method on each of the model's layers."""
        return {name: CAM(self.name, self.config.model_copy(update={"layers": (name,)})) for name in subject.cam_layers}

    def current(self, subject: Subject) -> str:
        """The layers looked at, joined by ``+``. Raises NoGridError where there are none to look at."""
        return "+".join(self._layers(subject))

    def native_size(self, subject: Subject, images: Tensor) -> tuple[int, int]:
        """Height and width of the finest layer's grid, which the maps are scaled up from."""
        with borrowed(subject.module):
            subject.module.eval()
            with forward(subject.module, self._layers(subject, images), images[:1], graph=False) as seen:
                return max(grid.size for grid in seen.grids.values())

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :meth:`xaitool.contracts.Explainer.explain`."""
        return self.explain_together(subject, images, [(self, targets)])[0]

    def sharing(self, _subject: Subject) -> Hashable:
        """See :class:`xaitool.contracts.Sharing`: all CAM methods can do with one forward pass."""
        return "xaitool_gradcam"

    def explain_together(
        self, subject: Subject, images: Tensor, questions: Sequence[tuple[CAM, Tensor]]
    ) -> list[Tensor]:
        """See :class:`xaitool.contracts.Sharing`."""
        for _, targets in questions:
            if targets.shape != (len(images),):
                raise ExplainError(
                    f"{len(images)} images need one target each, but the targets have shape {tuple(targets.shape)}"
                )
        layers = {name: layer for cam, _ in questions for name, layer in cam._layers(subject, images[:2]).items()}
        if not len(images):
            return [images.new_zeros(0, *images.shape[2:]) for _ in questions]
        check_precision(subject.module)
        size = min(cam.config.batch_size for cam, _ in questions)
        maps: list[list[Tensor]] = [[] for _ in questions]
        with (
            torch.inference_mode(False),
            torch.autocast(images.device.type, enabled=False),
            borrowed(subject.module),
            torch.enable_grad(),
        ):
            subject.module.eval().requires_grad_(False)
            for start in range(0, len(images), size):
                part = slice(start, start + size)
                # Copies: an inference tensor cannot take part in a graph, nor should the caller's graph go on in ours.
                asked = [(cam, targets[part].to(images.device, torch.int64, copy=True)) for cam, targets in questions]
                found = _answers(subject, layers, images[part].detach().clone(), asked)
                for each, some in zip(maps, found, strict=True):
                    each.append(some)
        return [torch.cat(each) for each in maps]

    def maps(self, view: View, layers: Sequence[str]) -> Tensor:
        """N×H×W of the images of a forward pass."""
        raw = [self.method.raw(view, layer) for layer in layers]
        return combined(raw, view.forward.images.shape[2:]).detach()

    def _layers(self, subject: Subject, images: Tensor | None = None) -> dict[str, nn.Module]:
        """Those asked for, or the last that the model has, which takes images to find where it names none itself."""
        names = self.config.layers
        if names is None or names == "auto":
            names = subject.cam_layers[-1:]
            if not names and images is not None and len(images):
                names = tuple(layer.name for layer in find_layers(subject.module, images)[:1])
            if not names:
                raise NoGridError(
                    "the model has no layer whose output is a grid over the image, which is what CAM methods look at; "
                    "name one with 'layers', or choose another explainer"
                )
        return named_layers(subject.module, names, subject.cam_layers)


def _answers(
    subject: Subject, layers: dict[str, nn.Module], images: Tensor, questions: Sequence[tuple[CAM, Tensor]]
) -> list[Tensor]:
    """Maps for each of the questions, from one forward pass; what two of them have in common is done once."""
    views: list[tuple[Callable[[Tensor, Tensor], Tensor], View]] = []
    answers = []
    asked = [cam.method for cam, _ in questions]
    graph, twice = any(method.graph for method in asked), any(method.twice for method in asked)
    with forward(subject.module, layers, images, graph=graph, twice=twice) as seen:
        for cam, targets in questions:
            check_targets(targets, seen.logits.shape[1])
            scores = cam.method.scores
            alike = (each for by, each in views if by is scores and torch.equal(each.targets, targets))
            view = next(alike, None) or View(seen, targets, scores, cam.config.batch_size)
            views.append((scores, view))
            answers.append(cam.maps(view, list(cam._layers(subject, images))))
    return answers


build_gradcam = partial(CAM, "gradcam")
build_gradcam_plus_plus = partial(CAM, "gradcam++")
build_hirescam = partial(CAM, "hirescam")
build_layercam = partial(CAM, "layercam")
build_xgradcam = partial(CAM, "xgradcam")
build_gradcam_elementwise = partial(CAM, "gradcam_elementwise")
build_shapleycam = partial(CAM, "shapleycam")
build_finercam = partial(CAM, "finercam")
build_eigengradcam = partial(CAM, "eigengradcam")
build_eigencam = partial(CAM, "eigencam")
build_kpcacam = partial(CAM, "kpcacam")
build_fem = partial(CAM, "fem")
build_scorecam = partial(CAM, "scorecam")
build_ablationcam = partial(CAM, "ablationcam")
