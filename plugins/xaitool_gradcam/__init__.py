"""Grad-CAM and its kin, as pytorch-grad-cam computes them, for xaitool."""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl

# Name, the rest of its factory's, and a line for lists.
_METHODS = (
    ("gradcam", "gradcam", "Grad-CAM (Selvaraju 2017): activations weighted by their mean gradient"),
    ("gradcam++", "gradcam_plus_plus", "Grad-CAM++ (Chattopadhyay 2018): gradients weighted pixel by pixel"),
    ("hirescam", "hirescam", "HiResCAM (Draelos 2020): gradient times activation, place by place"),
    ("layercam", "layercam", "LayerCAM (Jiang 2021): positive gradient times activation; for earlier layers too"),
    ("xgradcam", "xgradcam", "XGrad-CAM (Fu 2020): gradients weighted by each place's share of the activation"),
    ("gradcam_elementwise", "gradcam_elementwise", "Grad-CAM by elements (Pillai 2021): positive products alone"),
    ("eigencam", "eigencam", "Eigen-CAM (Muhammad 2020): first principal component of the activations; no class"),
    ("eigengradcam", "eigengradcam", "Eigen-CAM of gradient times activation, so of the class"),
    ("kpcacam", "kpcacam", "KPCA-CAM (Karmani 2024): Eigen-CAM by kernel PCA; no class"),
    ("fem", "fem", "FEM (Fuad 2020): activations that stand out; no class"),
    ("shapleycam", "shapleycam", "ShapleyCAM (Cai 2025): Grad-CAM with the curvature of the score"),
    ("finercam", "finercam", "Finer-CAM (Zhang 2025): what tells the class from the three most like it"),
    ("scorecam", "scorecam", "Score-CAM (Wang 2020): a forward pass through each channel; no gradients"),
    ("ablationcam", "ablationcam", "Ablation-CAM (Desai 2020): the score without each channel; no gradients"),
)


@hookimpl
def xaitool_explainers() -> list[Component]:
    looking_at_layers = [
        Component(
            name,
            config="xaitool_gradcam.config:Config",
            factory=f"xaitool_gradcam.explainers:build_{function}",
            summary=summary,
        )
        for name, function, summary in _METHODS
    ]
    return [
        *looking_at_layers,
        Component(
            "fullgrad",
            config="xaitool_gradcam.config:FullGradConfig",
            factory="xaitool_gradcam.fullgrad:FullGrad",
            summary="FullGrad (Srinivas 2019): what the input and every bias contribute; at the image's resolution",
        ),
    ]
