"""CAM methods that project activations on their first principal component.

Which end of a component is the positive one is arbitrary. pytorch-grad-cam leaves it to the linear algebra library, so
that a map can come out as its own opposite; here the sign has a rule, and a map is the same in any batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xaitool_gradcam.methods import View


def eigencam(view: View, layer: str) -> Tensor:
    """Eigen-CAM (Muhammad and Yeasin 2020, arXiv:2008.00299): the activations' first principal component."""
    return _peak_positive(_first_component(view.activations(layer)))


def eigengradcam(view: View, layer: str) -> Tensor:
    """Eigen-CAM of gradient times activation; positive is where these speak for the target."""
    evidence = view.gradients(layer) * view.activations(layer)
    component = _first_component(evidence)
    total = evidence.sum(1)
    agreement = (component * (total - total.mean((1, 2), keepdim=True))).sum((1, 2), keepdim=True)
    return torch.where(agreement < 0, -component, component)


def kpcacam(view: View, layer: str) -> Tensor:
    """KPCA-CAM (Karmani et al. 2024, arXiv:2410.00267): Eigen-CAM by kernel PCA, with a sigmoid kernel."""
    activations = view.activations(layer)
    places = _centred(activations)  # N×hw×C
    kernel = torch.tanh(places @ places.mT / places.shape[2] + 1)
    kernel = kernel - kernel.mean(1, keepdim=True) - kernel.mean(2, keepdim=True) + kernel.mean((1, 2), keepdim=True)
    values, vectors = torch.linalg.eigh(kernel)
    return _peak_positive(_on_the_grid(vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt(), activations))


def _first_component(features: Tensor) -> Tensor:
    """N×C×h×w projected on the first principal component of the places of each image, N×h×w."""
    places = _centred(features)
    if places.shape[1] <= places.shape[2]:
        # From the places' products with each other, where there are fewer places than channels.
        values, vectors = torch.linalg.eigh(places @ places.mT)
        component = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    else:
        component = (places @ torch.linalg.eigh(places.mT @ places)[1][:, :, -1:])[:, :, 0]
    return _on_the_grid(component, features)


def _centred(features: Tensor) -> Tensor:
    """N×C×h×w as N×hw×C in float64, each channel's mean taken off."""
    places = features.flatten(2).mT.double()
    return places - places.mean(1, keepdim=True)


def _peak_positive(component: Tensor) -> Tensor:
    """The sign that makes the largest value positive (Chung and Ying 2025, doi:10.3390/app15137562, eq. 13)."""
    turned = -component.amin((1, 2), keepdim=True) > component.amax((1, 2), keepdim=True)
    return torch.where(turned, -component, component)


def _on_the_grid(component: Tensor, features: Tensor) -> Tensor:
    """N×hw as N×h×w, of the dtype of the N×C×h×w features."""
    return component.reshape(len(features), *features.shape[2:]).to(features.dtype)
