"""The verdicts as a table of plain text, at most 80 columns wide where the names allow it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from xaitool.judge.judgement import Judgement
from xaitool.judge.verdict import Comparison

WIDTH = 80


def verdict_table(judgements: Mapping[str, Judgement]) -> list[str]:
    """Each explainer's verdict, then one table: its score, and the control that is hardest to beat."""
    verdicts = [f"verdict: {label}: {judgement.verdict.words()}" for label, judgement in judgements.items()]
    lines = [line for words in verdicts for line in textwrap.wrap(words, WIDTH, subsequent_indent="  ")]
    rows = [row for label, judgement in judgements.items() if (row := _row(label, judgement))]
    if not rows:
        return lines
    metric = next(measure for each in judgements.values() if (measure := each.measure("faithfulness")))
    head = ("", metric.metric, "95 % interval", "n", "hardest to beat", "ahead by")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return lines + [_set(cells, widths) for cells in (head, *rows)]


def _row(label: str, judgement: Judgement) -> tuple[str, ...] | None:
    """Cells of one explainer; None where it was compared with nothing."""
    measure = judgement.measure("faithfulness")
    if not measure or not judgement.controls:
        return None
    score = measure.score
    rival = min(judgement.controls, key=_lead)
    bounds = f"{_number(score.low)} to {_number(score.high)}" if score.n else "–"
    name = rival.name.removeprefix("its own ")  # for the width
    return label, _number(score.mean), bounds, f"{score.n}", name, _number(rival.difference.mean)


def _lead(control: Comparison) -> tuple[bool, float]:
    """Those that could be compared come first."""
    lead = control.difference.mean
    return not control.measured, lead if math.isfinite(lead) else math.inf


def _number(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "–"


def _set(cells: tuple[str, ...], widths: list[int]) -> str:
    """A line: numbers flush right, names flush left."""
    aligned = [f"{cell:{'<' if place in (0, 2, 4) else '>'}{widths[place]}}" for place, cell in enumerate(cells)]
    return f"  {'  '.join(aligned)}".rstrip()
