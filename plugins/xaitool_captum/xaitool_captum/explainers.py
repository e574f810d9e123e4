"""captum's methods as explainers: the contract around them, and a map of one value a pixel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from xaitool.borrow import borrowed
from xaitool.contracts import Subject
from xaitool.errors import ExplainError

from xaitool_captum import methods
from xaitool_captum.config import (
    BaselineConfig,
    Config,
    GradientConfig,
    GradientShapConfig,
    IntegratedGradientsConfig,
    LRPConfig,
    OcclusionConfig,
    Reduce,
)
from xaitool_captum.pixels import PixelModel


def build_integrated_gradients(config: IntegratedGradientsConfig) -> Captum:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365)."""
    return Captum(config, methods.integrated_gradients)


def build_saliency(config: GradientConfig) -> Captum:
    """The gradient (Simonyan et al. 2013, arXiv:1312.6034)."""
    return Captum(config, methods.saliency)


def build_input_x_gradient(config: BaselineConfig) -> Captum:
    """Input × gradient (Shrikumar et al. 2016, arXiv:1605.01713)."""
    return Captum(config, methods.input_x_gradient)


def build_deeplift(config: BaselineConfig) -> Captum:
    """DeepLIFT, rescale rule (Shrikumar et al. 2017, arXiv:1704.02685)."""
    return Captum(config, methods.deeplift)


def build_occlusion(config: OcclusionConfig) -> OcclusionExplainer:
    """Occlusion (Zeiler and Fergus 2013, arXiv:1311.2901)."""
    return OcclusionExplainer(config)


def build_gradient_shap(config: GradientShapConfig) -> Captum:
    """GradientSHAP (Lundberg and Lee 2017, arXiv:1705.07874)."""
    return Captum(config, methods.gradient_shap)


def build_guided_backprop(config: GradientConfig) -> Captum:
    """Guided backpropagation (Springenberg et al. 2014, arXiv:1412.6806)."""
    return Captum(config, methods.guided_backprop)


def build_lrp(config: LRPConfig) -> Captum:
    """Layer-wise relevance propagation (Bach et al. 2015, doi:10.1371/journal.pone.0130140)."""
    return Captum(config, methods.lrp)


class Captum:
    """An explainer (:class:`xaitool.contracts.Explainer`) over one of captum's methods.

    Attributions are those of pixel values in [0, 1], in units of the target's logit, reduced over the channels as the
    config says; they are not scaled.
    """

    def __init__(self, config: Config, method: Callable[[PixelModel, Tensor, Tensor, Any], Tensor]) -> None:
        self.config = config
        self.method = method

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :meth:`xaitool.contracts.Explainer.explain`."""
        if targets.shape != (len(images),):
            raise ExplainError(
                f"{len(images)} images need one target each, but the targets have shape {tuple(targets.shape)}"
            )
        if not len(images):
            return images.new_zeros(0, *images.shape[2:])
        size = self.config.batch_size
        with (
            torch.inference_mode(False),
            torch.autocast(images.device.type, enabled=False),
            borrowed(subject.module),
            torch.enable_grad(),
            _quiet(),
        ):
            subject.module.eval().requires_grad_(False)
            # Copies: an inference tensor cannot take part in a graph, nor should the caller's graph go on in ours.
            pixels, classes = images.detach().clone(), targets.to(images.device, torch.int64, copy=True)
            model = PixelModel(subject, pixels)
            pixels = model.pixels(pixels)
            _check_targets(classes, model(pixels[:1]))
            maps = [
                reduced(self.method(model, some.requires_grad_(), of, self.config).detach(), self.config.reduce)
                for some, of in zip(pixels.split(size), classes.split(size), strict=True)
            ]
        return torch.cat(maps)


class OcclusionExplainer(Captum):
    """Occlusion, whose maps are as coarse as the steps of its window."""

    config: OcclusionConfig

    def __init__(self, config: OcclusionConfig) -> None:
        super().__init__(config, methods.occlusion)

    def native_size(self, _subject: Subject, images: Tensor) -> tuple[int, int]:
        """How many places the window takes, down and across."""
        window, stride = self.config.window, self.config.stride
        down, across = (max(1, 1 - (side - window) // -stride) for side in images.shape[2:])
        return down, across


def reduced(attributions: Tensor, how: Reduce) -> Tensor:
    """N×C×H×W attributions to one value a pixel, N×H×W."""
    match how:
        case "sum":
            return attributions.sum(1)
        case "sum_abs":
            return attributions.abs().sum(1)
        case "max_abs":
            return attributions.abs().amax(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what captum says about its hooks on modules and tensors of our own making."""
    with warnings.catch_warnings():
        for message in (r"\s*Setting (forward, )?backward hooks", "Input Tensor .* did not already require gradients"):
            warnings.filterwarnings("ignore", message, UserWarning)
        yield


def _check_targets(targets: Tensor, logits: Tensor) -> None:
    classes = logits.shape[1]
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        raise ExplainError(
            f"targets lie in {int(targets.min())}..{int(targets.max())}, the model's classes in 0..{classes - 1}"
        )
