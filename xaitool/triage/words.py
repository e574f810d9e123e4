"""Triage in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xaitool.triage.evidence import EVIDENCE
from xaitool.triage.groups import FEWEST_MISTAKES
from xaitool.triage.label_noise import MOST, TRIALS

if TYPE_CHECKING:
    from xaitool.triage.result import Share, Triage

_PART = f"{EVIDENCE:.0%}"

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
    lead = share.lead
    verdict = "more than" if lead.low > 0 else "less than" if lead.high < 0 else "no more than"
    points = f"{_points(lead.mean)} points, 95 % interval {_points(lead.low)} to {_points(lead.high)}"
    return (
        f"{share.own.mean:.1%} of the mistakes {what}; with {random}, {share.chance.mean:.1%}: "
        f"{verdict} chance would do ({points})."
    )


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _groups(triage: Triage) -> str:
    groups = triage.groups.groups
    if not groups:
        few = f"; it takes {FEWEST_MISTAKES}" if len(triage.rows) < FEWEST_MISTAKES else ""
        return f"There are too few alike mistakes for groups{few}."
    grouped = sum(each.size for each in groups)
    named = ", ".join(f"{each.name} ({each.size:,})" for each in groups[:_NAMED])
    more = " and others" if len(groups) > _NAMED else ""
    split = sum(each.silhouette is not None for each in groups)
    kinds = f"{split} of the groups are parts" if split else "None of the groups is a part"
    return (
        f"The commonest class pairs hold {grouped:,} of the mistakes, in {_count(len(groups))} of alike ones: "
        f"{named}{more}. {kinds} of a pair that splits beyond chance."
    )


def _count(groups: int) -> str:
    return "1 group" if groups == 1 else f"{groups} groups"


def _label_noise(triage: Triage) -> str:
    suspect = int(triage.suspect.sum())
    guess = (
        f"{suspect:,} of the mistakes may be the label's and not the model's; that is a guess, by confident learning, "
        f"which suspects at most {MOST:.0%} of all labels, the surest."
    )
    if not triage.trial:
        return guess
    precision = triage.trial.precision
    right = "" if math.isnan(precision) else f", and {precision:.0%} of those that it suspected then were among them"
    return (
        f"{guess} To see its worth, {MOST:.0%} of all test labels were falsified at random, {TRIALS} times over: "
        f"it found {triage.trial.found:.0%} of them{right}. Labels that are really wrong are harder to find."
    )
