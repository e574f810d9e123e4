"""captum's attribution methods for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


def _component(name: str, config: str, summary: str) -> Component:
    return Component(
        name,
        config=f"xaitool_captum.config:{config}",
        factory=f"xaitool_captum.explainers:build_{name}",
        summary=summary,
    )


@hookimpl
def xaitool_explainers() -> list[Component]:
    return [
        _component(
            "integrated_gradients",
            "IntegratedGradientsConfig",
            "Integrated gradients (Sundararajan 2017): gradients summed on the way from a baseline",
        ),
        _component("saliency", "GradientConfig", "Saliency (Simonyan 2013): the gradient of the class score"),
        _component(
            "input_x_gradient", "BaselineConfig", "Input × gradient (Shrikumar 2016): the first-order change from black"
        ),
        _component(
            "deeplift", "BaselineConfig", "DeepLIFT, rescale rule (Shrikumar 2017): differences from a baseline"
        ),
        _component("occlusion", "OcclusionConfig", "Occlusion (Zeiler 2013): what the score loses behind a patch"),
        _component(
            "gradient_shap",
            "GradientShapConfig",
            "GradientSHAP (Lundberg 2017): gradients between noisy image and baseline",
        ),
        _component(
            "guided_backprop", "GradientConfig", "Guided backpropagation (Springenberg 2014): positive gradients only"
        ),
        _component(
            "lrp", "LRPConfig", "Layer-wise relevance propagation (Bach 2015): the score dealt out layer by layer"
        ),
    ]
