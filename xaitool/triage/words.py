"""Triage in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xaitool.counting import counted
from xaitool.judge.verdict import FEWEST
from xaitool.percent import percent
from xaitool.triage.evidence import EVIDENCE
from xaitool.triage.groups import FEWEST_MISTAKES
from xaitool.triage.label_noise import LEAST_PRECISION, MOST, TRIALS

if TYPE_CHECKING:
    from xaitool.judge.intervals import Interval
    from xaitool.triage.result import Share, Triage

_PART = f"{EVIDENCE:.0%}"

# A lead over chance that is surely less than this, in parts of all mistakes, is none.
NEGLIGIBLE = 0.05

# Groups that are named in the text; all of them stand in the table.
_NAMED = 3


def in_words(triage: Triage) -> str:
    """How many mistakes there are, what they rest on, which are alike, and how many may be the label's."""
    return " ".join([opening(triage), *by_topic(triage).values()])


def opening(triage: Triage) -> str:
    """How many mistakes there are, and whether the maps say anything of them."""
    count = len(triage.rows)
    images = f"{count:,} of {triage.tested:,} test images {'is' if count == 1 else 'are'} misclassified."
    if _mute(triage):
        images += f" {triage.explainer} gives constant maps for them, so nothing follows from its maps."
    return images


def by_topic(triage: Triage) -> dict[str, str]:
    """What there is to say of each topic."""
    topics = {}
    if not _mute(triage):
        topics["Evidence taken away"] = (
            f"Blur the {_PART} of an image that {triage.explainer} holds to be the evidence for the predicted class, "
            f"and {_share(triage.corrected, 'are corrected', f'a random {_PART}')}"
        )
        topics["Evidence kept alone"] = (
            f"Blur all but the {_PART} that is the evidence for the true class, and "
            f"{_share(triage.right_alone, 'are right', f'a random {_PART} left')}"
        )
        if triage.mapless:
            topics["Left out"] = f"Mistakes with a constant map for either class: {triage.mapless:,}."
    topics["Alike mistakes"] = _groups(triage)
    topics["Label noise, a guess"] = _label_noise(triage)
    return topics


def _mute(triage: Triage) -> bool:
    return not (triage.corrected.own.n or triage.right_alone.own.n)


def _share(share: Share, what: str, random: str) -> str:
    if not share.own.n:
        return "nothing can be said, for all maps are constant."
    shares = f"{percent(share.own.mean)} of the mistakes {what}; with {random}, {percent(share.chance.mean)}"
    return f"{shares}: {_against_chance(share.lead)}."


def _against_chance(lead: Interval) -> str:
    """More or less than chance, no more than chance, or what cannot be told."""
    mistakes = counted(lead.n, "mistake")
    if lead.n < FEWEST:
        return f"whether that is more than chance would do cannot be told from {mistakes}"
    points = f"{_points(lead.mean)} points, 95% interval {_points(lead.low)} to {_points(lead.high)}"
    if lead.low > 0:
        return f"more than chance would do ({points}, {mistakes})"
    if lead.high < 0:
        return f"less than chance would do ({points}, {mistakes})"
    if lead.high < NEGLIGIBLE:
        return f"no more than chance would do ({points}, {mistakes})"
    return f"whether that is more than chance would do cannot be told from {mistakes} ({points})"


def _points(value: float) -> str:
    return f"{100 * value:+z.1f}".replace("-", "−")


def _groups(triage: Triage) -> str:
    groups = triage.groups.groups
    if not groups:
        few = f"; it takes {FEWEST_MISTAKES}" if len(triage.rows) < FEWEST_MISTAKES else ""
        return f"There are too few alike mistakes for groups{few}."
    grouped = sum(each.size for each in groups)
    named = ", ".join(f"{each.size:,} of “{each.name}”" for each in groups[:_NAMED])
    more = " and others" if len(groups) > _NAMED else ""
    split = sum(each.silhouette is not None for each in groups)
    kinds = (
        f"{split} of the groups are parts of a class pair that splits beyond chance."
        if split
        else "No class pair splits beyond chance."
    )
    return f"{grouped:,} of the mistakes are in {counted(len(groups), 'group')} of alike ones: {named}{more}. {kinds}"


def _label_noise(triage: Triage) -> str:
    suspect = int(triage.suspect.sum())
    how = f"by confident learning, which suspects at most {MOST:.0%} of all labels, the surest"
    guess = (
        f"{suspect:,} of the mistakes may be the label's and not the model's; that is a guess, {how}."
        if suspect
        else f"No mistake is said to be the label's and not the model's, {how}."
    )
    if not triage.trial:
        return guess
    trial, precision = triage.trial, triage.trial.precision
    check = (
        f"To see its worth, {MOST:.0%} of all test labels were falsified at random, {TRIALS} times over: "
        f"it found {trial.found:.0%} of them"
    )
    right = "" if math.isnan(precision) else f", and {precision:.0%} of those that it suspected then were among them"
    if triage.withheld:
        return (
            f"No label is called wrong here: confident learning suspects {suspect:,}, but did not stand its own trial. "
            f"{check}{right}; it would take {LEAST_PRECISION:.0%}. To it, mistakes of the model look the same as wrong "
            "labels do, and labels that are really wrong count against it, too. triage.csv names those it suspects."
        )
    return f"{guess} {check}{right}. Labels that are really wrong are harder to find."
