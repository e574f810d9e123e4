"""CAM methods that are computed from one forward pass: what each makes of activations and gradients.

Each takes a :class:`View` and gives raw evidence, N×h×w, of which :mod:`xaitool_gradcam.maps` makes maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from xaitool_gradcam.forward import Forward

# Against dividing by zero: the library's.
_EPSILON_XGRAD, _EPSILON_PLUS_PLUS = 1e-7, 1e-6

# Finer-CAM: how many of the classes that are the hardest to tell from the target it is contrasted with.
_SIMILAR = 3


def class_scores(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit, N."""
    return logits.gather(1, targets[:, None])[:, 0]


def contrast_with_similar(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit less those of the three classes next to it, weighted by their probabilities, N."""
    own = class_scores(logits, targets)[:, None]
    distance = (logits - own).detach().abs().scatter(1, targets[:, None], torch.inf)
    similar = distance.argsort(dim=1, stable=True)[:, : min(_SIMILAR, logits.shape[1] - 1)]
    weights = logits.softmax(1).gather(1, similar)
    return ((own - logits.gather(1, similar)) * weights).sum(1) / (weights.sum(1) + 1e-9)


@dataclass
class View:
    """A forward pass as one method sees it, for one target each image.

    targets: N int64. scores: what the gradients are of. batch_size: how many images a method may run at a time.
    """

    forward: Forward
    targets: Tensor
    scores: Callable[[Tensor, Tensor], Tensor]
    batch_size: int
    _gradients: dict[str, Tensor] = field(default_factory=dict)

    def activations(self, name: str) -> Tensor:
        """Of a layer, N×C×h×w."""
        return self.forward.activations(name)

    def gradients(self, name: str) -> Tensor:
        """Of the scores with respect to the activations, N×C×h×w."""
        if not self._gradients:
            self._gradients = self.forward.gradients(self.scores(self.forward.logits, self.targets))
        return self.forward.grids[name].view(self._gradients[name])


def gradcam(view: View, layer: str) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): channels weighted by their mean gradient."""
    return _weighted(view, layer, view.gradients(layer).mean((2, 3)))


def gradcam_plus_plus(view: View, layer: str) -> Tensor:
    """Grad-CAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063): gradients weighted place by place."""
    gradients, activations = view.gradients(layer), view.activations(layer)
    square = gradients**2
    below = 2 * square + activations.sum((2, 3), keepdim=True) * square * gradients + _EPSILON_PLUS_PLUS
    shares = torch.where(gradients != 0, square / below, 0)
    return _weighted(view, layer, (gradients.clamp(min=0) * shares).sum((2, 3)))


def xgradcam(view: View, layer: str) -> Tensor:
    """XGrad-CAM (Fu et al. 2020, arXiv:2008.02312): gradients weighted by each place's share of the activation."""
    activations = view.activations(layer)
    shares = activations / (activations.sum((2, 3), keepdim=True) + _EPSILON_XGRAD)
    return _weighted(view, layer, (view.gradients(layer) * shares).sum((2, 3)))


def hirescam(view: View, layer: str) -> Tensor:
    """HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): gradient times activation, place by place."""
    return (view.gradients(layer) * view.activations(layer)).sum(1)


def layercam(view: View, layer: str) -> Tensor:
    """LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943): the same with the positive gradients alone."""
    return (view.gradients(layer).clamp(min=0) * view.activations(layer)).sum(1)


def gradcam_elementwise(view: View, layer: str) -> Tensor:
    """Element-wise Grad-CAM (Pillai and Pirsiavash 2021, AAAI): products below zero left out."""
    return (view.gradients(layer) * view.activations(layer)).clamp(min=0).sum(1)


def shapleycam(view: View, layer: str) -> Tensor:
    """ShapleyCAM (Cai 2025, arXiv:2501.06261): Grad-CAM, the gradient less half a Hessian-vector product."""
    forward = view.forward
    scores = view.scores(forward.logits, view.targets)
    gradient = forward.gradients(scores, again=True)[layer]
    output = forward.outputs[layer]
    if gradient.requires_grad:  # where it does not, the scores are linear in what the layer gave
        (product,) = torch.autograd.grad(
            gradient, output, output.detach(), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        gradient = gradient.detach() - 0.5 * product
    return _weighted(view, layer, forward.grids[layer].view(gradient).mean((2, 3)))


def fem(view: View, layer: str) -> Tensor:
    """FEM (Fuad et al. 2020, hal-02963298): channels weighted by how often they stand out.

    To stand out is to be two standard deviations above the channel's mean.
    """
    activations = view.activations(layer)
    threshold = activations.mean((2, 3), keepdim=True) + 2 * activations.std((2, 3), correction=0, keepdim=True)
    return _weighted(view, layer, (activations > threshold).float().mean((2, 3)))


def _weighted(view: View, layer: str, weights: Tensor) -> Tensor:
    return torch.einsum("nc,nchw->nhw", weights, view.activations(layer))
