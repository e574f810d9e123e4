"""What came of a run, in short: the end of ``xaitool run``, for people and for scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xaitool.accuracy import Accuracy
from xaitool.counting import counted
from xaitool.findings import findings
from xaitool.results import Run

VERSION = 1
_WORST = 3


@dataclass(frozen=True)
class WorstClass:
    """A class that is badly recognised. recall: 0..1; images: how many test images it has."""

    name: str
    recall: float
    images: int


@dataclass(frozen=True)
class Confusion:
    """One class taken for another; count: on how many test images. tied: how many other pairs are taken as often."""

    true: str
    predicted: str
    count: int
    tied: int = 0

    def times(self) -> str:
        """``6 times``, and how many other pairs are as common."""
        times = counted(self.count, "time")
        if not self.tied:
            return times
        return f"{times}, as {'is 1 other pair' if self.tied == 1 else f'are {self.tied:,} other pairs'}"


@dataclass(frozen=True)
class Verdict:
    """Whether an explainer can be trusted, as ``verdicts.json`` has it.

    words: the whole verdict. faithfulness, model, object: its parts, None where not measured. metric: what faithfulness
    was measured by. score, low, high: its mean over n images and the 95% interval. hardest_to_beat: the control that
    the explainer is least ahead of; lead: by how much (below 0: behind). None: there is no figure.
    """

    words: str
    faithfulness: str | None = None
    model: str | None = None
    object: str | None = None
    metric: str | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    hardest_to_beat: str | None = None
    lead: float | None = None


@dataclass(frozen=True)
class Summary:
    """A run in short; None or empty is what the run has not, or did not come to.

    folder, report: absolute paths. state: running, finished, failed or interrupted. error: what went wrong. seconds: in
    all stages. accuracy: on the test images, 0..1; accuracy_low, accuracy_high: its 95% interval; chance: what always
    naming the largest class would reach. worst_classes: those of lowest recall, at most three.
    verdicts: by explainer. findings: what a person should know before trusting model or maps, one sentence each.
    """

    name: str
    folder: Path
    report: Path | None
    state: str
    error: str | None
    seconds: float
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    chance: float | None
    images: int | None
    misclassified: int | None
    worst_classes: tuple[WorstClass, ...]
    commonest_confusion: Confusion | None
    verdicts: Mapping[str, Verdict]
    findings: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> Summary:
        """Sum up a run, however far it got."""
        folder, journal = run.folder.absolute(), run.journal
        metrics = run.metrics if (folder / "metrics.json").is_file() else {}
        report = folder / "report.html"
        accuracy = Accuracy.of(metrics) if metrics else None
        return cls(
            name=journal["name"],
            folder=folder,
            report=report if report.is_file() else None,
            state=journal["state"],
            error=journal["error"],
            seconds=round(sum(stage.get("seconds", 0) for stage in journal["stages"].values()), 3),
            accuracy=_figure(metrics.get("accuracy")),
            accuracy_low=accuracy.share.low if accuracy else None,
            accuracy_high=accuracy.share.high if accuracy else None,
            chance=accuracy.chance if accuracy else None,
            images=metrics.get("images"),
            misclassified=metrics.get("misclassified"),
            worst_classes=_worst_classes(metrics.get("per_class", {})),
            commonest_confusion=_commonest_confusion(metrics),
            verdicts={label: _verdict(record) for label, record in run.verdicts.items()},
            findings=tuple(findings(run)),
        )

    def as_dict(self) -> dict[str, Any]:
        """What ``xaitool run --json`` prints, in JSON types; null is what there is not.

        ``version``: 1; it grows when a key changes its meaning or goes, not when one comes. All else as the fields of
        this class and of those above, by the same names; ``verdicts`` is an object by explainer.
        """
        plain = asdict(self)
        plain |= {"folder": str(self.folder), "report": str(self.report) if self.report else None}
        plain |= {"worst_classes": [*plain["worst_classes"]], "findings": [*self.findings]}
        return {"version": VERSION, **plain}

    def lines(self, width: int = 80) -> list[str]:
        """The same for people: plain text in `width` columns, 60 at least.

        Long names are shortened. Only a path may stand out, as one that is broken could not be copied.
        """
        from xaitool.summary_text import lines

        return lines(self, width)


def _figure(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _worst_classes(per_class: Mapping[str, Any]) -> tuple[WorstClass, ...]:
    tested = [
        WorstClass(name, recall, each["images"])
        for name, each in per_class.items()
        if each["images"] and (recall := _figure(each["recall"])) is not None
    ]
    return tuple(sorted(tested, key=lambda each: each.recall)[:_WORST])


def _commonest_confusion(metrics: Mapping[str, Any]) -> Confusion | None:
    names = list(metrics.get("per_class", {}))
    confusions = [
        Confusion(names[true], names[predicted], count)
        for true, row in enumerate(metrics.get("confusion", []))
        for predicted, count in enumerate(row)
        if true != predicted and count
    ]
    commonest = max(confusions, key=lambda each: each.count, default=None)
    if commonest is None:
        return None
    return replace(commonest, tied=sum(each.count == commonest.count for each in confusions) - 1)


def _verdict(record: Mapping[str, Any]) -> Verdict:
    verdict = Verdict(record["words"], record["faithfulness"], record["model"], record["object"])
    score = next((each for each in record["scores"] if each["aspect"] == "faithfulness"), None)
    if score is None or not record["controls"]:
        return verdict
    # Those that could be compared come first.
    rival = min(record["controls"], key=lambda each: (not each["measured"], _lead(each) is None, _lead(each) or 0.0))
    return replace(
        verdict,
        metric=score["metric"],
        score=_figure(score["mean"]),
        low=_figure(score["low"]),
        high=_figure(score["high"]),
        n=score["n"],
        hardest_to_beat=rival["name"],
        lead=_lead(rival),
    )


def _lead(control: Mapping[str, Any]) -> float | None:
    return _figure(control["difference"]["mean"])
