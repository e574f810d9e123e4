"""What was found out about all explainers of a run: ``verdicts.json`` and ``judged/curves.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from xaitool.errors import VerdictError
from xaitool.judge.choice import Choice
from xaitool.judge.judgement import Judgement
from xaitool.judge.verdict import Verdict

if TYPE_CHECKING:
    from xaitool.recipe.schema import ExplainSettings


@dataclass(frozen=True)
class Judged:
    """The judgement of each explainer and how its layer was chosen, by label; and why others were not judged."""

    judgements: dict[str, Judgement] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def check(self, settings: ExplainSettings, labels: Iterable[str]) -> None:
        """Raise VerdictError where one of the explainers called `labels` falls short of what the recipe requires."""
        short = [
            f"{label} is not {requirement.replace('_', ' ')} ({_reason(judgement.verdict, requirement)})"
            for label, judgement in self.judgements.items()
            for requirement in settings.require
            if not judgement.verdict.meets(requirement)
        ]
        unjudged = [label for label in labels if label not in self.judgements]
        short += [f"{label} was not judged" for label in unjudged if settings.require]
        if short:
            raise VerdictError("explain.require is not met: " + "; ".join(short))

    def as_dict(self) -> dict[str, Any]:
        """``verdicts.json``: an explainer that could not be judged has a record too, which says why."""
        labels = dict.fromkeys([*self.judgements, *self.choices, *self.failed])
        return {
            label: {
                **self.judgements.get(label, Judgement(label, Verdict(None), ())).as_dict(),
                "layers": self.choices[label].as_dict() if label in self.choices else None,
                "failed": self.failed.get(label),
            }
            for label in labels
        }

    def curves_as_dict(self) -> dict[str, Any]:
        """``judged/curves.json``."""
        return {label: judgement.curves_as_dict() for label, judgement in self.judgements.items()}

    @classmethod
    def from_dict(cls, verdicts: Mapping[str, Any], curves: Mapping[str, Any]) -> Self:
        """Read both files back."""
        return cls(
            judgements={
                label: Judgement.from_dict(label, record, curves.get(label, {}))
                for label, record in verdicts.items()
                if label in curves
            },
            choices={label: Choice.from_dict(each["layers"]) for label, each in verdicts.items() if each["layers"]},
            failed={label: each["failed"] for label, each in verdicts.items() if each["failed"]},
        )


def _reason(verdict: Verdict, requirement: str) -> str:
    """The verdict, and why it says nothing of what is required, where that is so."""
    if requirement == "about_the_model" and verdict.model is None:
        return f"{verdict.words()}; whether they are about the model cannot be told"
    return verdict.words()
