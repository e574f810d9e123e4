"""Model: build a recipe's network and check it at the seam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torchinfo
from torch import Tensor

from xaitool.borrow import borrowed
from xaitool.contracts import DataBundle, Explainer, ModelBundle, Subject
from xaitool.engine.placed import placed
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam, check_subject_explains
from xaitool.engine.smooth import smoothed
from xaitool.errors import NoGridError
from xaitool.layers import Layer, find_layers, grids_of
from xaitool.recipe.resolve import Recipe, Resolved


def build_model(component: Resolved, data: DataBundle, seed: int) -> ModelBundle:
    """Build the network for the data's classes and image size, its weights drawn from the seed.

    Where it does not say which layers CAM methods can look at, they are found by running it.
    """
    channels, height, width = data.test[0][0].shape
    with kept():
        seed_all(derive(seed, "model"))
        bundle = component.build("model", num_classes=len(data.classes), input_size=(channels, height, width))
    bundle = Seam(component).model(bundle, len(data.classes))
    if not bundle.cam_layers:
        with component.offer.blamed("looking for layers with a grid"):
            found = find_layers(bundle.module, some_images(data))
        bundle = replace(bundle, cam_layers=tuple(layer.name for layer in reversed(found)))
    return bundle


def cam_grids(model: ModelBundle, data: DataBundle) -> tuple[Layer, ...]:
    """The model's layers for CAM methods, from input to output, each with the grid of its output for these data."""
    return grids_of(model.module, some_images(data), model.cam_layers)


def some_images(data: DataBundle) -> Tensor:
    """Two of the test images (2×C×H×W), to run a model on."""
    return torch.stack([data.test[row][0] for row in range(min(2, len(data.test)))])


def subject_of(model: ModelBundle, data: DataBundle) -> Subject:
    """The model as explainers see it."""
    return Subject(model.module, model.cam_layers, data.mean, data.std)


def build_explainers(
    recipe: Recipe, subject: Subject, data: DataBundle, warn: Callable[[str], None]
) -> dict[str, Explainer]:
    """Build a recipe's explainers by label, each tried on one image, so that a wrong layer is met before training.

    warn: is told of those that will give no maps, as the model has no grid for them to look at.
    """
    explainers = {}
    for place, component in enumerate(recipe.explainers):
        seam = Seam(component)
        with placed(recipe.source, "explain", "methods", place):
            explainer = seam.explainer(component.build("explain"))
            if component.smooth:
                explainer = smoothed(explainer, component.smooth, recipe.settings.seed)
            explainers[component.label] = explainer
            try:
                check_subject_explains(seam, explainer, subject, data.test[0][0])
            except NoGridError as error:  # which is no mistake in the recipe: all else can be had
                warn(f"{component.label} will give no maps: {error}")
    return explainers


def summary(model: ModelBundle) -> str:
    """Layers, output shapes and parameters, as torchinfo prints them."""
    with borrowed(model.module), torch.no_grad():
        info = torchinfo.summary(
            model.module,
            input_size=(1, *model.input_size),
            depth=3,
            verbose=0,
            col_names=("output_size", "num_params"),
            row_settings=("depth", "var_names"),
        )
    return str(info)
