"""Select: which test images to explain, which to judge on, and which to choose layers on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from xaitool.engine.evaluate import Evaluation
from xaitool.engine.randomness import derive
from xaitool.errors import ExplainError
from xaitool.judge.verdict import FEWEST
from xaitool.recipe.schema import SelectSettings
from xaitool.suggest import did_you_mean


def _none() -> Tensor:
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Selection:
    """Rows of the test set (int64).

    misclassified, correct: to explain, those given by id first, the others in the order in which they were asked for.
    judged: to judge the explainers on, whether explained or not. apart: to choose layers on; neither explained nor
    judged. Both in an order drawn from the seed.
    """

    misclassified: Tensor
    correct: Tensor
    judged: Tensor = field(default_factory=_none)
    apart: Tensor = field(default_factory=_none)

    @property
    def rows(self) -> Tensor:
        """All that are explained, misclassified ones first."""
        return torch.cat([self.misclassified, self.correct])


def check_ids(settings: SelectSettings, test_ids: Sequence[str]) -> None:
    """Raise ExplainError for an id that no test image has."""
    known = set(test_ids)
    for name in settings.ids:
        if name not in known:
            hint = did_you_mean(name, test_ids) or f"; the first is called '{test_ids[0]}'"
            raise ExplainError(f"explain.select.ids: no test image is called '{name}'{hint}")


def select(
    evaluation: Evaluation, settings: SelectSettings, seed: int, judge_images: int = 0, ids: Sequence[str] = ()
) -> Selection:
    """Choose images, without replacement; all there are where there are fewer than asked for.

    judge_images: how many to judge on, and as many again to choose layers on. Where there are not enough for both,
    each gets half of what is left beside the explained ones; where that would leave either too few to tell anything
    although more are asked for, all are for judging; and where even those are too few, none are, as it would tell
    nothing. ids: of all test images, needed where the settings give
    any; those are explained besides as many as are asked for. Raises ExplainError for an id that no image has.
    """
    total = len(evaluation.labels)
    given = _given(settings, ids)
    order = _shuffled(total, derive(seed, "select"))
    drawn = order[~torch.isin(order, given)]
    wrong = _by(settings.by, drawn[~evaluation.correct[drawn]], evaluation)
    right = drawn[evaluation.correct[drawn]]
    explained = Selection(
        torch.cat([given[~evaluation.correct[given]], wrong[: settings.misclassified]]),
        torch.cat([given[evaluation.correct[given]], right[: settings.correct]]),
    )
    again = _shuffled(total, derive(seed, "select", "judge"))
    judged = again[: min(judge_images, max(2, (total - len(explained.rows)) // 2))]
    apart = again[~torch.isin(again, torch.cat([explained.rows, judged]))][:judge_images]
    if min(len(judged), len(apart)) < FEWEST <= judge_images:
        judged, apart = again[:judge_images] if total >= FEWEST else _none(), _none()
    return Selection(explained.misclassified, explained.correct, judged, apart)


def shortage(selection: Selection, total: int, judge_images: int) -> str:
    """How many of all test images are for judging and for choosing layers, where that is too few; else empty."""
    apart, judged = len(selection.apart), len(selection.judged)
    if min(apart, judged) >= min(FEWEST, judge_images):
        return ""
    return (
        f"{total:,} test images: {apart or 'none'} for choosing layers, {judged or 'none'} for judging explanations; "
        f"each takes {FEWEST} to tell anything"
    )


def _given(settings: SelectSettings, ids: Sequence[str]) -> Tensor:
    """Rows of the images given by id, each once."""
    if not settings.ids:
        return _none()
    check_ids(settings, ids)
    row_of = {name: row for row, name in enumerate(ids)}
    return torch.tensor([row_of[name] for name in dict.fromkeys(settings.ids)])


def _by(what: str, rows: Tensor, evaluation: Evaluation) -> Tensor:
    """Misclassified rows, in a random order, put in the order asked for; what ties stays as it was."""
    match what:
        case "most_confident":
            return rows[evaluation.confidence[rows].argsort(descending=True, stable=True)]
        case "least_confident":
            return rows[evaluation.confidence[rows].argsort(stable=True)]
        case "class_pairs":
            return _taking_turns(rows, evaluation)
        case _:
            return rows


def _taking_turns(rows: Tensor, evaluation: Evaluation) -> Tensor:
    """One of each pair of true and predicted class, the commonest pair first; then another one of each; and so on."""
    seen: dict[tuple[int, int], int] = {}
    turns = []
    for row in rows.tolist():
        pair = int(evaluation.labels[row]), int(evaluation.predicted[row])
        seen[pair] = turn = seen.get(pair, 0) + 1
        turns.append((turn, -int(evaluation.confusion[pair]), pair, row))
    # Sorted by turn, then by the pair's count, then by the classes: no two rows of a pair have one turn.
    return torch.tensor([row for *_, row in sorted(turns)], dtype=torch.int64)


def _shuffled(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
