"""Model: build a recipe's network and check it at the seam."""

from __future__ import annotations

import torch
import torchinfo

from xaitool.borrow import borrowed
from xaitool.contracts import DataBundle, Explainer, ModelBundle, Subject
from xaitool.engine.placed import placed
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam, check_subject_explains
from xaitool.recipe.resolve import Recipe, Resolved


def build_model(component: Resolved, data: DataBundle, seed: int) -> ModelBundle:
    """Build the network for the data's classes and image size, its weights drawn from the seed."""
    channels, height, width = data.test[0][0].shape
    with kept():
        seed_all(derive(seed, "model"))
        bundle = component.build("model", num_classes=len(data.classes), input_size=(channels, height, width))
    return Seam(component).model(bundle, len(data.classes))


def subject_of(model: ModelBundle, data: DataBundle) -> Subject:
    """The model as explainers see it."""
    return Subject(model.module, model.cam_layers, data.mean, data.std)


def build_explainers(recipe: Recipe, subject: Subject, data: DataBundle) -> dict[str, Explainer]:
    """Build a recipe's explainers by label, each tried on one image, so that a wrong layer is met before training."""
    explainers = {}
    for place, component in enumerate(recipe.explainers):
        seam = Seam(component)
        with placed(recipe.source, "explain", "methods", place):
            explainers[component.label] = explainer = seam.explainer(component.build("explain"))
            check_subject_explains(seam, explainer, subject, data.test[0][0])
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
