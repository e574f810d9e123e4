"""A run's summary as plain text: aligned columns, no colour, nothing beyond the last column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len

from xaitool.columns import pad, shorten, wrap
from xaitool.counting import counted
from xaitool.durations import duration
from xaitool.percent import percent
from xaitool.summary import Summary, Verdict

_NARROWEST = 60
# Columns of the names at the left: as wide as the longest of the facts' names; more where an explainer's is longer.
_LEFT, _WIDEST_LEFT = len("worst classes"), 20
_LONGEST_CLASS = 24
_LONGEST_METRIC = 11
# The table of figures gives up its intervals where it leaves less than this to the explainers' names.
_LEAST_LABEL = 12
_NO_BREAK = "\xa0"


def lines(summary: Summary, width: int) -> list[str]:
    """See :meth:`Summary.lines`."""
    width = max(width, _NARROWEST)
    left = max(_LEFT, *(min(cell_len(label), _WIDEST_LEFT) for label in ["", *summary.verdicts]))
    about = [_facts, _words, _figures, _findings, _places]
    blocks = [[_head(summary)], *(block(summary, left, width) for block in about)]
    return [line for block in blocks if block for line in ("", *block)][1:]


def _head(summary: Summary) -> str:
    how = {"finished": "finished in", "failed": "failed after", "interrupted": "interrupted after"}
    return f"{summary.name}: {how.get(summary.state, 'running for')} {duration(summary.seconds)}"


def _facts(summary: Summary, left: int, width: int) -> list[str]:
    if summary.accuracy is None:
        return []
    images = counted(summary.images or 0, "test image")
    low, high, chance = (
        percent(math.nan if each is None else each)
        for each in (summary.accuracy_low, summary.accuracy_high, summary.chance)
    )
    accuracy = f"{percent(summary.accuracy, 2)} of {images} (95% interval {low.removesuffix('%')} to {high})"
    facts = [("accuracy", accuracy), ("chance", f"{chance}, by always naming one class")]
    if summary.misclassified:
        facts.append(("mistakes", f"{summary.misclassified:,}{_confusion(summary)}"))
        worst = [f"{_name(each.name)} {percent(each.recall)}" for each in summary.worst_classes]
        if len(worst) > 1:
            facts.append(("worst classes", _unbroken([f"{worst[0]} recall", *worst[1:]])))
    return [line for name, text in facts for line in _hanging(name, text, left, width)]


def _confusion(summary: Summary) -> str:
    found = summary.commonest_confusion
    if not found:
        return ""
    return f", most often {_name(found.true)} taken for {_name(found.predicted)} ({_unbroken([found.times()])})"


def _words(summary: Summary, left: int, width: int) -> list[str]:
    """Each explainer's verdict."""
    if not summary.verdicts:
        return []
    rows = [("explainer", "verdict"), *((label, each.words) for label, each in summary.verdicts.items())]
    return [line for label, words in rows for line in _hanging(shorten(label, left), words, left, width)]


def _figures(summary: Summary, left: int, width: int) -> list[str]:
    """Each explainer's score, and the control that is hardest to beat."""
    judged = {label: each for label, each in summary.verdicts.items() if each.metric and each.hardest_to_beat}
    if not judged:
        return []
    metric = shorten(next(iter(judged.values())).metric or "", _LONGEST_METRIC)
    head = ("explainer", metric, "95% interval", "n", "hardest to beat", "ahead by")
    table = [head, *(_row(label, each) for label, each in judged.items())]
    if _room(table, width) < min(_LEAST_LABEL, max(map(cell_len, judged))):
        table = [(*row[:2], *row[3:]) for row in table]
    left = min(left, _room(table, width))
    return list(_set([(pad(shorten(row[0], left), left), *row[1:]) for row in table]))


def _row(label: str, verdict: Verdict) -> tuple[str, ...]:
    rival = (verdict.hardest_to_beat or "").removeprefix("its own ")  # for the width
    bounds = f"{_number(verdict.low)} to {_number(verdict.high)}" if verdict.n else "–"
    return label, _number(verdict.score), bounds, f"{verdict.n}", rival, _number(verdict.lead)


def _room(table: Sequence[tuple[str, ...]], width: int) -> int:
    """What the other columns leave to the first one; never nothing."""
    others = [max(map(cell_len, column)) for column in zip(*table, strict=True)][1:]
    return max(width - sum(others) - 2 * len(others), 8)


def _set(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Aligned columns: names flush left, numbers flush right."""
    flush_left = {table[0].index(name) for name in table[0] if name.strip() in ("explainer", "hardest to beat")}
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (pad(cell, widths[place], right=place not in flush_left) for place, cell in enumerate(row))
        yield "  ".join(padded).rstrip()


def _findings(summary: Summary, left: int, width: int) -> list[str]:
    names = ["findings", *[""] * len(summary.findings)]
    return [
        line
        for name, finding in zip(names, summary.findings, strict=False)
        for line in _hanging(name, f"- {finding}", left, width, "  ")
    ]


def _places(summary: Summary, left: int, width: int) -> list[str]:
    place = ("report", summary.report) if summary.report else ("folder", summary.folder)
    return [f"{place[0]:{left}}  {_near(place[1])}"]


def _near(path: Path) -> Path:
    """Seen from the working folder, where it is in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _hanging(name: str, text: str, left: int, width: int, indent: str = "") -> list[str]:
    """A name in the left column, and text beside it."""
    wrapped = wrap(text, width, first=f"{pad(name, left)}  ", rest=" " * (left + 2) + indent)
    return [line.replace(_NO_BREAK, " ").rstrip() for line in wrapped]


def _unbroken(items: Sequence[str]) -> str:
    """``a 1, b 2``, which is broken between the items only."""
    return ", ".join(item.replace(" ", _NO_BREAK) for item in items)


def _name(name: str) -> str:
    return shorten(" ".join(name.split()), _LONGEST_CLASS)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if abs(value) < 1000 else f"{value:+.1e}"
