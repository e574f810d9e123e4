"""CAM methods that weigh a channel by what happens to the score when it alone is shown, or is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from xaitool_gradcam.methods import View

# How many values of a layer's output may be held for one image with its channels ablated in turn: 64 MB.
_VALUES = 2**24


def scorecam(view: View, layer: str) -> Tensor:
    """Score-CAM (Wang et al. 2020, arXiv:1910.01279): a channel weighs what the image scores seen through it.

    A forward pass a channel and image; channels that show nothing share one.
    """
    activations, images = view.activations(layer), view.forward.images
    scores = []
    for image, channels, target in zip(images, activations, view.targets.tolist(), strict=True):
        alive = (channels != channels[:, :1, :1]).flatten(1).any(1)
        shown = torch.cat([channels[alive], channels.new_zeros(1, *channels.shape[1:])])  # the last shows nothing
        through = [_logits(view, image * _masks(some, image.shape[1:])) for some in shown.split(view.batch_size)]
        found = torch.cat(through)[:, target]
        scores.append(found[-1].repeat(len(channels)).masked_scatter(alive, found[:-1]))
    return torch.einsum("nc,nchw->nhw", torch.stack(scores).softmax(1), activations)


def _masks(channels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Channels (K×h×w) as K×1×H×W masks, each from 0 to 1."""
    masks = F.interpolate(channels[:, None], tuple(size), mode="bilinear", align_corners=True)[:, 0]
    low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
    return ((masks - low) / (high - low + 1e-8))[:, None]


def ablationcam(view: View, layer: str) -> Tensor:
    """Ablation-CAM (Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360): a channel weighs what it adds.

    That is the score less the score without the channel. Where the network allows it, what comes before the layer runs
    once an image, and only what comes after it once a channel; channels of zeros do not run at all.
    """
    activations, targets = view.activations(layer), view.targets.tolist()
    before = view.forward.logits.detach()
    shares, many = _runs_on_from_one_image(view, layer), view.batch_size
    if shares:
        many = max(many, _VALUES // view.forward.outputs[layer][0].numel())
    weights = torch.zeros_like(activations[:, :, 0, 0])
    for row, target in enumerate(targets):
        alive = activations[row].flatten(1).any(1).nonzero()[:, 0]
        for channels in alive.split(many):
            without = _logits_without(view, layer, row, channels, shares)[:, target]
            weights[row, channels] = before[row, target] - without
    return torch.einsum("nc,nchw->nhw", weights, activations)


def _logits_without(view: View, layer: str, row: int, channels: Tensor, shares: bool) -> Tensor:
    """The scores of an image (K×classes) with one of K channels of a layer's output at zero."""
    image = view.forward.images[row : row + 1]
    output = view.forward.outputs[layer].detach()[row : row + 1]
    ablated = output.repeat(len(channels), *[1] * (output.ndim - 1))
    view.forward.grids[layer].view(ablated)[torch.arange(len(channels)), channels] = 0
    with _given_instead(view, layer, ablated):
        return _logits(view, image if shares else image.expand(len(channels), *image.shape[1:]))


def _runs_on_from_one_image(view: View, layer: str) -> bool:
    """Whether the network goes on with two outputs of the layer where it was given one image.

    It does not, say, where what came before the layer is concatenated with what comes after it.
    """
    output = view.forward.outputs[layer].detach()[:1]
    with _given_instead(view, layer, output.repeat(2, *[1] * (output.ndim - 1))):
        try:
            logits = _logits(view, view.forward.images[:1])
        except RuntimeError:  # shapes that do not go together
            return False
    expected = view.forward.logits.detach()[:1].expand(2, -1)
    return logits.shape == expected.shape and torch.allclose(logits, expected, rtol=1e-4, atol=1e-5)


@contextmanager
def _given_instead(view: View, layer: str, output: Tensor) -> Iterator[None]:
    """Put an output in the place of a layer's."""
    hook = view.forward.module.get_submodule(layer).register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        hook.remove()


def _logits(view: View, images: Tensor) -> Tensor:
    with torch.no_grad():
        return view.forward.module(images)  # type: ignore[no-any-return]
