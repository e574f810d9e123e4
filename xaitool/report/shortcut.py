"""The report's section on a planted shortcut: whether the model uses it, and which explainers show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from xaitool.judge.intervals import Interval
from xaitool.judge.shortcut import LEAST_EFFECT, LEAST_RATIO, Effect, Finding, Pair, Pointing
from xaitool.judge.verdict import FEWEST
from xaitool.report.model import Section, Table


def shortcut_sections(finding: Finding | None) -> list[Section]:
    """The section, where the data have a planted shortcut."""
    if finding is None:
        return []
    parts = [_effect(finding.effect, finding.target), *_pointing(finding)]
    return [Section("Does the model use the planted shortcut?", finding.sentence(), parts=parts, name="shortcut")]


def _effect(effect: Effect, target: str) -> Section:
    def row(what: str, pair: Pair, interval: str = "") -> tuple[str, ...]:
        change = _points(pair.with_patch - pair.without)
        return what, _percent(pair.without), _percent(pair.with_patch), change, interval

    rise, gain = effect.rise, effect.gain
    rows = [
        row("Accuracy, all images", effect.accuracy),
        row(f"Accuracy, images of “{target}”", effect.own, _between(gain, _points)),
        row("Accuracy, images of other classes", effect.others),
        row(f"Other classes taken for “{target}”", effect.taken, _between(rise, _points)),
    ]
    columns = ("Test images", "Without the patch", "With the patch", "Change in points", "95% interval")
    text = (
        "The same test images twice: nothing but the patch is different. What decides is how many images of other "
        f"classes ({rise.n:,} of them) it turns into “{target}”, and how many of “{target}” ({gain.n:,}) are only "
        f"recognised with it. Either counts from {100 * LEAST_EFFECT:.0f} points on, with its whole interval above 0; "
        "that neither does is certain only where both intervals end below that."
    )
    return Section("What the patch does to the predictions", text, table=Table(columns, rows))


def _pointing(finding: Finding) -> Iterator[Section]:
    rows = [
        (
            label,
            _percent(each.share.mean),
            _between(each.share, _percent),
            _percent(each.chance),
            _times(each.ratio.mean),
            _between(each.ratio, _times),
            f"{each.share.n:,}",
            _shows(each),
        )
        for label, each in finding.pointing.items()
    ]
    columns = (
        "Explainer", "Evidence on the patch", "95% interval", "Chance", "Times chance", "95% interval", "Images",
        "Shows it",
    )  # fmt: skip
    text = (
        f"How much of a map's evidence for “{finding.target}” lies on the patch, in test images that have it. Chance "
        "is the patch's part of the image. A method shows the patch where its evidence there is at least "
        f"{LEAST_RATIO:g} times chance, with its whole interval."
    )
    if rows:
        yield Section("What the maps have on the patch", text, table=Table(columns, rows))


def _shows(pointing: Pointing) -> str:
    if not pointing.share.n:
        return "no (empty maps)"
    if pointing.share.n < FEWEST:
        return "no (too few images)"
    return "yes" if pointing.shows else "no"


def _between(interval: Interval, written: Callable[[float], str]) -> str:
    return f"{written(interval.low)} to {written(interval.high)}" if interval.n else "–"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"


def _points(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:+.1f}".replace("-", "−")


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.2f}"
