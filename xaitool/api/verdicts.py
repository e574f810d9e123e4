"""Judging an explanation: what :mod:`xaitool.judge` says of each method, on the user's own images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xaitool.api.html import verdicts_as_html
from xaitool.building import component
from xaitool.engine.guard import Guard
from xaitool.engine.randomness import derive, kept
from xaitool.engine.runtime import InPlace
from xaitool.engine.seams import Seam
from xaitool.errors import MetricError
from xaitool.judge.judge import Judge
from xaitool.judge.judged import Judged
from xaitool.judge.judgement import Judgement
from xaitool.judge.verdict import FEWEST
from xaitool.recipe.schema import USUAL_METRICS
from xaitool.report.wording import explained_verdict

if TYPE_CHECKING:
    from xaitool.api.explanation import Explanation
    from xaitool.contracts import Metric


class Verdicts(Mapping[str, Judgement]):
    """A judgement of each method, by its label; printed, the verdicts in sentences with their figures."""

    def __init__(self, judgements: Mapping[str, Judgement]) -> None:
        self._judgements = dict(judgements)

    def __getitem__(self, label: str) -> Judgement:
        return self._judgements[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._judgements)

    def __len__(self) -> int:
        return len(self._judgements)

    @property
    def words(self) -> dict[str, str]:
        """Each verdict in short: ``faithful; about the model``."""
        return {label: each.verdict.words() for label, each in self.items()}

    @property
    def sentences(self) -> dict[str, str]:
        """Each verdict in sentences, one a line, with scores, rivals and 95% intervals."""
        return {label: explained_verdict(each, None) for label, each in self.items()}

    def as_dict(self) -> dict[str, Any]:
        """As ``verdicts.json`` of a run has it."""
        return Judged(dict(self)).as_dict()

    def __str__(self) -> str:
        lines = []
        for label, said in self.sentences.items():
            lines += [label, *(f"  {line}" for line in said.splitlines())]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return verdicts_as_html(self)


def judge(explanation: Explanation, metrics: Sequence[Any] | None = None) -> Verdicts:
    """Judge each method of an explanation for the classes that it explains. Raises MetricError."""
    images, subject = explanation.images, explanation.subject
    if len(images) < FEWEST:
        raise MetricError(
            f"judging takes {FEWEST} images at least, and there are {len(images)}: explain more images, 100 or so, and "
            "judge those"
        )
    if not images.in_pixel_units:
        raise MetricError(
            "judging replaces parts of the images and so has to know what their values mean: call xaitool.explain with "
            "the mean and std of their normalisation"
        )
    guard = Guard(subject.module)
    try:
        with kept():
            judge = Judge(
                subject,
                images.tensor,
                explanation.targets,
                [f"{number}/{name}" for number, name in enumerate(images.names)],
                _built(metrics),
                runtime=InPlace.of(subject.module),
                seed=derive(explanation.seed, "judge"),
            )
            return Verdicts({label: judge.judge(label, each) for label, each in explanation.explainers.items()})
    finally:
        guard.restore()


def _built(metrics: Sequence[Any] | None) -> dict[str, Metric]:
    """The metrics by label; they are named as explainers are."""
    found = {}
    for metric in USUAL_METRICS if metrics is None else metrics:
        named = {"use": metric} if isinstance(metric, str) else metric
        if not isinstance(named, Mapping) or not isinstance(named.get("use"), str):
            raise MetricError(f"metric {metric!r} is neither a name nor a mapping such as {{'use': 'abpc'}}")
        options = {str(key): value for key, value in named.items() if key not in ("use", "as")}
        resolved = component("metric", named["use"], options, named.get("as"))
        found[resolved.label] = Seam(resolved).metric(resolved.build("judge"))
    return found
