"""The comparison's section on whether each run's explanations can be trusted."""

from __future__ import annotations

from xaitool.judge.intervals import Interval
from xaitool.judge.judgement import Measure
from xaitool.report.compare_pair import Pair
from xaitool.report.model import Section, Table
from xaitool.report.wording import DIRECTIONS, is_signed, number
from xaitool.results import Run

_TITLE = "Verdicts beside each other"


def verdicts_section(pair: Pair) -> Section:
    """One row an explainer that either run judged."""
    labels = list(dict.fromkeys([*pair.a.verdicts, *pair.b.verdicts]))
    if not labels:
        return Section(_TITLE, "Neither run judged its explainers.", name="verdicts")
    words = [(label, *(_words(run, label) for _, run in pair)) for label in labels]
    return Section(
        _TITLE,
        "Each explainer is judged on its own run's model.",
        table=Table(("Explainer", "Verdict in A", "Verdict in B"), words),
        parts=[_scores(pair, labels)],
        name="verdicts",
    )


def _scores(pair: Pair, labels: list[str]) -> Section:
    """What the verdicts rest on."""
    a, b = ({each["id"] for each in run.judged_images} for _, run in pair)
    images = "the same images" if a == b and not pair.apart else "different images"
    text = (
        f"The runs were judged on {images}. Only means and intervals are kept, not the score of each image, so the "
        "difference cannot be tested image by image: where the intervals are apart, the scores differ; where they "
        "overlap, they may differ all the same. In square brackets: 95% intervals."
    )
    columns = ("Explainer", "Metric", "Score in A", "Score in B", "Intervals")
    return Section("Scores", text, table=Table(columns, [_row(pair, label) for label in labels]))


def _row(pair: Pair, label: str) -> tuple[str, ...]:
    a, b = (_measure(run, label) for _, run in pair)
    metric = " / ".join(dict.fromkeys(f"{each.metric}, {DIRECTIONS[each.direction]}" for each in (a, b) if each))
    return label, metric or "–", _score(a), _score(b), _apart(a, b)


def _words(run: Run, label: str) -> str:
    record = run.verdicts.get(label)
    if record is None:
        return "not judged"
    return f"could not be judged: {record['failed']}" if record.get("failed") else record["words"] or "–"


def _measure(run: Run, label: str) -> Measure | None:
    """What the verdict rests on: the measure of faithfulness, or else the first."""
    judgement = run.judged.judgements.get(label)
    if judgement is None:
        return None
    return judgement.measure("faithfulness") or next(iter(judgement.measures), None)


def _score(measure: Measure | None) -> str:
    if measure is None or not measure.score.n:
        return "–"
    score, signed = measure.score, is_signed(measure)
    mean, low, high = (number(each, signed) for each in (score.mean, score.low, score.high))
    return f"{mean} [{low}, {high}], n = {score.n:,}"


def _apart(a: Measure | None, b: Measure | None) -> str:
    if a is None or b is None or not (a.score.n and b.score.n):
        return "–"
    if a.metric != b.metric:
        return "other metrics"
    return "overlap" if _overlap(a.score, b.score) else "apart"


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high
