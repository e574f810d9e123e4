"""captum's methods: each a function from pixel values to attributions, N×C×H×W in and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import (
    LRP,
    DeepLift,
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    Saliency,
)
from torch import Tensor
from xaitool.errors import ExplainError

from xaitool_captum.config import (
    BaselineConfig,
    GradientConfig,
    GradientShapConfig,
    IntegratedGradientsConfig,
    LRPConfig,
    OcclusionConfig,
)
from xaitool_captum.pixels import PixelModel
from xaitool_captum.rules import DEEPLIFT, GUIDED_BACKPROP, lrp_rules
from xaitool_captum.unrolled import Unrolled


def integrated_gradients(
    model: PixelModel, pixels: Tensor, targets: Tensor, config: IntegratedGradientsConfig
) -> Tensor:
    """Sundararajan et al. 2017, arXiv:1703.01365. The sum is f(image) - f(baseline), up to the error of the steps."""
    maps: Tensor = IntegratedGradients(model).attribute(
        pixels,
        model.baseline(config.baseline, pixels),
        target=targets,
        n_steps=config.n_steps,
        internal_batch_size=max(config.batch_size, len(pixels)),
    )
    return maps


def saliency(model: PixelModel, pixels: Tensor, targets: Tensor, _config: GradientConfig) -> Tensor:
    """Simonyan et al. 2013, arXiv:1312.6034: the gradient with respect to pixel values, with its sign."""
    maps: Tensor = Saliency(model).attribute(pixels, targets, abs=False)
    return maps


def input_x_gradient(model: PixelModel, pixels: Tensor, targets: Tensor, config: BaselineConfig) -> Tensor:
    """Shrikumar et al. 2016, arXiv:1605.01713: the gradient times what is more in the image than in the baseline."""
    baseline = model.baseline(config.baseline, pixels)
    method = InputXGradient(lambda difference: model(baseline + difference))
    maps: Tensor = method.attribute(pixels - baseline, targets)
    return maps


def deeplift(model: PixelModel, pixels: Tensor, targets: Tensor, config: BaselineConfig) -> Tensor:
    """Shrikumar et al. 2017, arXiv:1704.02685, rescale rule. The sum is f(image) - f(baseline)."""
    unrolled = Unrolled(model, DEEPLIFT, pixels[:1])
    maps: Tensor = DeepLift(unrolled).attribute(pixels, model.baseline(config.baseline, pixels), targets)
    return maps


def occlusion(model: PixelModel, pixels: Tensor, targets: Tensor, config: OcclusionConfig) -> Tensor:
    """Zeiler and Fergus 2013, arXiv:1311.2901: the mean loss of score of the squares that hide a pixel."""
    channels, height, width = pixels.shape[1:]
    if config.window > min(height, width):
        raise ExplainError(f"a window of {config.window} pixels is larger than an image of {height} x {width}")
    with torch.no_grad():
        maps: Tensor = Occlusion(model).attribute(
            pixels,
            sliding_window_shapes=(channels, config.window, config.window),
            strides=(channels, config.stride, config.stride),
            baselines=model.baseline(config.baseline, pixels),
            target=targets,
            perturbations_per_eval=max(1, config.batch_size // len(pixels)),
        )
    return maps


def gradient_shap(model: PixelModel, pixels: Tensor, targets: Tensor, config: GradientShapConfig) -> Tensor:
    """Lundberg and Lee 2017, arXiv:1705.07874: expected gradients between the noisy image and a random baseline.

    Image by image and with the same draws for each, so that a map does not depend on the others in its batch.
    """
    method = GradientShap(model)
    maps = []
    for image, target in zip(pixels.split(1), targets.split(1), strict=True):
        baselines = torch.cat([model.baseline(kind, image) for kind in config.baselines])
        with _drawing_from(config.seed):
            of_one = method.attribute(image, baselines, config.n_samples, stdevs=config.noise, target=target)
        maps.append(of_one.detach())
    return torch.cat(maps)


def guided_backprop(model: PixelModel, pixels: Tensor, targets: Tensor, _config: GradientConfig) -> Tensor:
    """Springenberg et al. 2014, arXiv:1412.6806. Known to depend little on the class (Adebayo 2018)."""
    unrolled = Unrolled(model, GUIDED_BACKPROP, pixels[:1])
    maps: Tensor = GuidedBackprop(unrolled).attribute(pixels, targets)
    return maps


def lrp(model: PixelModel, pixels: Tensor, targets: Tensor, config: LRPConfig) -> Tensor:
    """Bach et al. 2015, doi:10.1371/journal.pone.0130140; see :func:`xaitool_captum.rules.lrp_rules`.

    Biases keep their share of the score, so that the sum is not the score.
    """
    unrolled = Unrolled(model, lrp_rules(config.gamma), pixels[:1])
    maps: Tensor = LRP(unrolled).attribute(pixels, targets)
    return maps


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Seed the two generators that captum draws from. numpy's comes back as it was; torch's is given back by others."""
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield
    finally:
        np.random.set_state(state)
