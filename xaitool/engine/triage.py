"""Triage: every misclassified test image, looked at by one explainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xaitool.borrow import borrowed
from xaitool.contracts import Explainer
from xaitool.engine.explain import explain, gather
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime, using
from xaitool.judge.judge import native_size
from xaitool.triage.decisions import Decisions, Mistakes, decide
from xaitool.triage.features import difference, penultimate
from xaitool.triage.groups import group
from xaitool.triage.label_noise import suspects, trial
from xaitool.triage.result import Triage

if TYPE_CHECKING:
    from xaitool.engine.explaining import Trained

# Mistakes whose images and maps are held at a time.
_CHUNK = 256


def triage(
    trained: Trained,
    label: str,
    explainer: Explainer,
    *,
    seed: int = 0,
    runtime: Runtime | None = None,
    display: Display | None = None,
) -> Triage | None:
    """What the mistakes rest on, by the maps of the explainer called `label`; None where there are no mistakes.

    The module is moved to the runtime's device and comes back in the state it was in. All that is drawn at random for a
    mistake, but what the explainer itself draws, follows from the seed and its id. Raises ExplainError.
    """
    data, evaluation = trained.data, trained.evaluation
    rows = (~evaluation.correct).nonzero()[:, 0]
    if not len(rows):
        return None
    ids = [data.test_ids[row] for row in rows.tolist()]
    true, predicted = evaluation.labels[rows], evaluation.predicted[rows]
    decisions, features, differences = _look_at_each(
        trained, ids, rows, explainer, derive(seed, "triage"), runtime, display or Silent()
    )
    perhaps, perhaps_by = suspects(evaluation.probabilities, evaluation.labels)
    groups = group(
        features,
        differences,
        [data.classes[index] for index in true.tolist()],
        [data.classes[index] for index in predicted.tolist()],
        evaluation.confidence[rows],
        ids,
        derive(seed, "triage", "groups"),
    )
    return Triage(
        explainer=label,
        tested=len(evaluation.labels),
        rows=rows,
        true=true,
        predicted=predicted,
        confidence=evaluation.confidence[rows],
        true_probability=evaluation.probabilities[rows, true],
        decisions=decisions,
        groups=groups,
        perhaps=perhaps[rows],
        perhaps_by=perhaps_by[rows],
        trial=trial(evaluation.probabilities, evaluation.labels, derive(seed, "triage", "falsify")),
        seed=seed,
    )


def _look_at_each(
    trained: Trained,
    ids: list[str],
    rows: Tensor,
    explainer: Explainer,
    seed: int,
    runtime: Runtime | None,
    display: Display,
) -> tuple[Decisions, Tensor, Tensor]:
    """Decisions, features (N×D) and difference maps (N×8×8), chunk by chunk, for there may be many thousands."""
    evaluation, subject = trained.evaluation, trained.subject
    with using(runtime) as runtime, display.bar("triage of mistakes", len(rows)) as bar:
        runtime.place(subject.module)
        grid = native_size(explainer, subject, runtime.to_device(gather(trained.data.test, rows[:1])))
        here, chunks = runtime.alone(), rows.split(_CHUNK)

        def of_chunk(number: int) -> tuple[Decisions, Tensor, Tensor]:
            some = chunks[number]
            images, true = gather(trained.data.test, some), evaluation.labels[some]
            for_predicted = explain(explainer, subject, images, evaluation.predicted[some], seed=seed, runtime=here)
            for_true = explain(explainer, subject, images, true, seed=seed, runtime=here)
            images, true = here.to_device(images), true.to(here.device)
            maps = for_predicted.to(here.device), for_true.to(here.device)
            names = ids[number * _CHUNK : (number + 1) * _CHUNK]
            with borrowed(subject.module), torch.no_grad():
                subject.module.eval()
                features = penultimate(subject.module, images).cpu()
                decisions = decide(subject.module, Mistakes(names, images, true, *maps, grid), seed)
            bar(len(some) * runtime.processes.count)
            return decisions, features, difference(for_predicted, for_true)

        decisions, features, differences = zip(*runtime.processes.shared(len(chunks), of_chunk), strict=True)
    return Decisions.join(decisions), torch.cat(features), torch.cat(differences)
