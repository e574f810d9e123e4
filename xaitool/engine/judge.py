"""Judge: which layers to look at, and whether the explanations can be trusted, measured on test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xaitool.contracts import Adjustable, DataBundle, Explainer, Metric, Subject
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.explain import gather
from xaitool.engine.runtime import Runtime
from xaitool.engine.seams import Seam
from xaitool.errors import MetricError, VerdictError
from xaitool.judge import Judge, Judgement
from xaitool.judge.choose import Choice
from xaitool.judge.verdict import FEWEST
from xaitool.recipe.resolve import Resolved
from xaitool.recipe.schema import ExplainSettings


@dataclass(frozen=True)
class Judged:
    """The judgement of each explainer and how its layer was chosen, by label; and why others were not judged."""

    judgements: dict[str, Judgement] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """``verdicts.json``."""
        return {
            label: {**judgement.as_dict(), "layers": self.choices[label].as_dict() if label in self.choices else None}
            for label, judgement in self.judgements.items()
        }

    def check(self, settings: ExplainSettings, labels: Iterable[str]) -> None:
        """Raise VerdictError where one of the explainers called `labels` falls short of what the recipe requires."""
        short = [
            f"{label} is not {requirement.replace('_', ' ')} ({judgement.verdict.words()})"
            for label, judgement in self.judgements.items()
            for requirement in settings.require
            if not judgement.verdict.meets(requirement)
        ]
        unjudged = [label for label in labels if label not in self.judgements]
        short += [f"{label} was not judged" for label in unjudged if settings.require]
        if short:
            raise VerdictError("explain.require is not met: " + "; ".join(short))


def build_metrics(
    components: tuple[Resolved, ...], settings: ExplainSettings, data: DataBundle, explainers: Iterable[str]
) -> dict[str, Metric]:
    """Build the metrics by label. Raises MetricError where the recipe requires what none of them can tell here."""
    metrics = {component.label: Seam(component).metric(component.build("judge")) for component in components}
    aspects = {metric.aspect for metric in metrics.values()} if settings.judge.images else set()
    if settings.require and not list(explainers):
        raise MetricError("explain.require is there, but no method in explain.methods that could meet it")
    if settings.require and settings.judge.images < FEWEST:
        raise MetricError(f"explain.require takes explain.judge.images of {FEWEST} at least, for a verdict")
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
