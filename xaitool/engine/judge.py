"""Judge: which layers to look at, and whether the explanations can be trusted, measured on test images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaitool.contracts import Adjustable, DataBundle, Explainer, Given, Metric, Subject
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.explain import gather
from xaitool.engine.runtime import Runtime
from xaitool.engine.seams import Seam
from xaitool.errors import MetricError
from xaitool.judge.judge import Judge
from xaitool.recipe.resolve import Resolved
from xaitool.recipe.schema import ExplainSettings


def build_metrics(components: tuple[Resolved, ...], settings: ExplainSettings, data: DataBundle) -> dict[str, Metric]:
    """Build the metrics by label. Raises MetricError where the recipe requires what none of them can tell here."""
    metrics = {component.label: Seam(component).metric(component.build("judge")) for component in components}
    aspects = {metric.aspect for metric in metrics.values()} if settings.judge.images else set()
    if "finds_the_object" in settings.require and data.test_masks is None:
        raise MetricError("explain.require asks for finds_the_object, but this data set knows no true places (masks)")
    needed = {"about_the_model": "model", "finds_the_object": "localisation"}
    for requirement in settings.require:
        aspect = needed.get(requirement, "faithfulness")
        if aspect not in aspects:
            raise MetricError(
                f"explain.require asks for {requirement}, which takes a metric of aspect '{aspect}' in explain.metrics "
                "and explain.judge.images above 0"
            )
    return metrics


def check_automatic(
    explainers: Mapping[str, Explainer], metrics: Mapping[str, Metric], settings: ExplainSettings
) -> None:
    """Raise MetricError where an explainer's layer is to be chosen, and there is nothing to choose it by."""
    faithful = any(metric.aspect == "faithfulness" for metric in metrics.values())
    for label, explainer in explainers.items():
        if isinstance(explainer, Adjustable) and explainer.automatic and not (faithful and settings.judge.images):
            raise MetricError(
                f"{label}: layers: auto chooses by measuring; it takes a metric of faithfulness in explain.metrics "
                "(abpc, say) and explain.judge.images above 0"
            )


def make_judge(
    subject: Subject,
    data: DataBundle,
    evaluation: Evaluation,
    rows: Tensor,
    metrics: Mapping[str, Metric],
    *,
    seed: int,
    runtime: Runtime,
    tick: Callable[[int], None],
) -> Judge:
    """A judge over some rows of the test set; the class to explain is the one predicted."""
    masks = data.test_masks
    return Judge(
        subject,
        gather(data.test, rows),
        evaluation.predicted[rows],
        [data.test_ids[row] for row in rows.tolist()],
        metrics,
        mask=torch.stack([masks[row] for row in rows.tolist()]) if masks is not None else None,
        seed=seed,
        runtime=runtime,
        tick=tick,
    )


def image_curves(
    name: str,
    metric: Metric,
    subject: Subject,
    data: DataBundle,
    evaluation: Evaluation,
    rows: Tensor,
    maps: Tensor,
    *,
    seed: int,
    runtime: Runtime,
) -> dict[str, Any] | None:
    """A metric's curves of single images, as ``explanations/METHOD/curves.json`` has them; None where it has none.

    rows: of N images in the test set; maps: N×H×W float32, of their predicted classes.
    """
    masks = data.test_masks
    mask = torch.stack([masks[row] for row in rows.tolist()]).to(runtime.device) if masks is not None else None
    runtime.place(subject.module)
    scores = metric.score(
        subject,
        runtime.to_device(gather(data.test, rows)),
        evaluation.predicted[rows].to(runtime.device),
        maps.to(runtime.device),
        Given([data.test_ids[row] for row in rows.tolist()], seed, mask),
    )
    if not scores.curves:
        return None
    values, curves = np.asarray(scores.values, np.float64), {}
    for line, points in scores.curves.items():
        curve = np.asarray(points, np.float64)
        curves[line] = (curve if curve.ndim == 1 else np.where(np.isfinite(values)[:, None], curve, np.nan)).round(4)
    return {"metric": name, "scores": values.tolist(), **{line: each.tolist() for line, each in curves.items()}}
