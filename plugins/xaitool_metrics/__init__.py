"""Measures of an explanation: is it faithful, about the model, true, stable, simple?"""

from __future__ import annotations

from xaitool.component import Component
from xaitool.hookspecs import hookimpl


@hookimpl
def xaitool_metrics() -> list[Component]:
    return [
        Component(
            name,
            config=f"xaitool_metrics.config:{config}",
            factory=f"xaitool_metrics.{factory}",
            summary=summary,
        )
        for name, config, factory, summary in _METRICS
    ]


_METRICS = (
    (
        "deletion",
        "CurveConfig",
        "faithfulness:Deletion",
        "Target probability while the most relevant pixels go first (Petsiuk 2018)",
    ),
    (
        "insertion",
        "CurveConfig",
        "faithfulness:Insertion",
        "Target probability while the most relevant pixels come first (Petsiuk 2018)",
    ),
    (
        "abpc",
        "CurveConfig",
        "faithfulness:ABPC",
        "How much longer a prediction lasts with the least than the most relevant pixels gone first (Samek 2017)",
    ),
    (
        "road",
        "ROADConfig",
        "road:ROAD",
        "As abpc, with missing pixels made up from their neighbours, so that no outline tells (Rong 2022)",
    ),
    (
        "randomisation",
        "RandomisationConfig",
        "sanity:Randomisation",
        "Rank correlation with the map of a randomised network (Adebayo 2018)",
    ),
    (
        "other_class",
        "BatchConfig",
        "sanity:OtherClass",
        "Rank correlation with the map for another class (Sixt 2020)",
    ),
    (
        "mass_in_mask",
        "NoOptions",
        "localisation:MassInMask",
        "Share of the map's positive evidence inside the true mask",
    ),
    (
        "top_k_overlap",
        "NoOptions",
        "localisation:TopKOverlap",
        "Share of the |mask| most relevant pixels inside the true mask",
    ),
    (
        "pointing_game",
        "NoOptions",
        "localisation:PointingGame",
        "Whether the most relevant pixel is inside the true mask (Zhang 2018)",
    ),
    (
        "max_sensitivity",
        "SensitivityConfig",
        "stability:MaxSensitivity",
        "Largest relative change of the map under small changes of the image (Yeh 2019)",
    ),
    (
        "gini",
        "NoOptions",
        "complexity:Gini",
        "Gini index: 0 where relevance is spread evenly, towards 1 on a single pixel (Chalasani 2020)",
    ),
    (
        "entropy",
        "NoOptions",
        "complexity:Entropy",
        "Normalised entropy: 1 where relevance is spread evenly, 0 on a single pixel (Bhatt 2020)",
    ),
)
