"""Networks like the one given, with random weights.

Every parameter's own values are dealt out anew among its places. That needs to know nothing about how a layer is meant
to be initialised (a class token and a layer scale are parameters like any other), and keeps each parameter's scale, so
that signals neither die out nor blow up on their way through. A parameter that is one number, or one number many times,
says nothing about the data and stays.

The running statistics of batch norms would still be those of the learnt features: a channel that was quiet would be
blown up a thousandfold. They are estimated anew, from random images with the 1/f spectrum of photographs and not from
those that are scored, so that an image's score does not depend on its company.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xaitool.borrow import borrowed

# Random images for the statistics, and how many at a time: always as few, for batches that depended on memory would
# change the statistics.
_IMAGES, _AT_A_TIME = 64, 8


def twins(module: nn.Module, images: Tensor, seed: int, depths: int) -> Iterator[nn.Module]:
    """Yield the network with the first 1/depths of its layers randomised, then 2/depths, … and at last all of them.

    Layers (modules with parameters of their own) count in the order in which an image runs through them, so that random
    layers come from the input up. images: their shape is that of the network's input. It is one and the same copy
    every time, in eval mode; the module itself stays as it is.
    """
    source = torch.Generator().manual_seed(seed)
    # A copy made in inference mode could not be differentiated, as gradient explainers do.
    with torch.inference_mode(False):
        with borrowed(module):
            twin = copy.deepcopy(module).eval()
        noise = _natural_noise((_IMAGES, *images.shape[1:]), source).to(images)
        layers = _in_order(twin, noise[:1])
        for depth in range(depths):
            begin, end = (len(layers) * each // depths for each in (depth, depth + 1))
            for layer in layers[begin:end]:
                _deal_anew(layer, source)
            _estimate_statistics(twin, noise)
            yield twin


def _in_order(module: nn.Module, image: Tensor) -> list[nn.Module]:
    """The modules with parameters of their own, in the order of their first call; those never called come last."""
    layers = [part for part in module.modules() if any(True for _ in part.parameters(recurse=False))]
    called: list[nn.Module] = []
    handles = [layer.register_forward_pre_hook(lambda part, _inputs: called.append(part)) for layer in layers]
    try:
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys([*called, *layers]))


@torch.no_grad()
def _deal_anew(layer: nn.Module, source: torch.Generator) -> None:
    for parameter in layer.parameters(recurse=False):
        order = torch.randperm(parameter.numel(), generator=source).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))


@torch.no_grad()
def _estimate_statistics(module: nn.Module, images: Tensor) -> None:
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # which stands for the plain mean over all batches
        norm.train()
    for some in images.split(_AT_A_TIME):
        module(some)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _natural_noise(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """Images whose amplitudes fall with frequency as those of photographs, of mean 0 and variance 1."""
    height, width = shape[-2:]
    spectrum = torch.fft.rfft2(torch.randn(shape, generator=source))
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    noise = torch.fft.irfft2(spectrum / frequency, s=(height, width))
    standard: Tensor = (noise - noise.mean()) / noise.std()
    return standard
