"""What was measured of an explainer, in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xaitool.engine.judge import Judged
from xaitool.judge import Judgement, Measure
from xaitool.judge.choose import Choice
from xaitool.judge.intervals import Interval
from xaitool.judge.judge import DEALT, EDGES, GAUSSIAN, MEAN, SMOOTH
from xaitool.judge.verdict import Comparison

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "none": "neither high nor low is better"}

ASPECTS = {
    "faithfulness": "faithful",
    "model": "about the model",
    "class": "about the class",
    "localisation": "on the object",
    "stability": "stable",
    "complexity": "simple",
}

MEANINGS = (
    (
        "Says nothing",
        "The maps fit their images no better than maps that were made for other images. They may look convincing, but "
        "nothing about a single image can be read from them.",
    ),
    (
        "Image-specific",
        "The maps fit their own images better than other images' maps do. Yet there is something that never looked at "
        "the model, such as a bright spot in the middle, that points at what the model needs as well as they do.",
    ),
    (
        "Faithful",
        "The maps point at what the model needs better than everything they were compared with. This is said of these "
        "test images as a whole, not of each map.",
    ),
    (
        "About the model, or ignores the weights",
        "The same network with random weights has learnt nothing, so a map about the model has to change with it. One "
        "that stays much the same shows the image, not what the model makes of it.",
    ),
    (
        "Finds the object",
        "More of the map lies on the true object than by chance, and than of every map it was compared with. Where it "
        "does not, the map may be wrong, or the model may look elsewhere.",
    ),
    (
        "95 % interval",
        "The range in which the mean would lie with other test images of the same kind, 95 times in 100. “Beaten” "
        "means that, compared image by image, the explainer is ahead with its whole interval.",
    ),
)

# What a reader should know of a control that an explainer does not beat.
_RIVALS = {
    DEALT: "made for another image",
    SMOOTH: "which is noise",
    GAUSSIAN: "which only says “look at the middle”",
    EDGES: "which never saw the model",
    MEAN: "which is nearly the same for every image",
}


def number(value: float, signed: bool = True) -> str:
    """Three decimals; more where a value that has no sign is small; ``–`` where there is none."""
    if not math.isfinite(value):
        return "–"
    if signed:
        return f"{value:+.3f}".replace("-", "−")
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"


def bounds(interval: Interval, signed: bool = True) -> str:
    """``+0.402 to +0.494``."""
    return f"{number(interval.low, signed)} to {number(interval.high, signed)}" if interval.n else "–"


def is_signed(measure: Measure) -> bool:
    """Whether scores of this metric can be below zero."""
    return measure.range[0] < 0


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def explained_verdict(judgement: Judgement, choice: Choice | None) -> str:
    """The verdict on one explainer in a few sentences, one a line, with the figures of its rivals."""
    said = [_faithfulness(judgement), _model(judgement), _object(judgement), choice and choice.words()]
    return "\n".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said if sentence) or "Not judged."


def trust(judged: Judged) -> str:
    """For the head of the page: can the explanations be trusted? Empty where nothing was judged."""
    groups: dict[str, list[str]] = {}
    for label, judgement in judged.judgements.items():
        if clause := _clause(judgement):
            groups.setdefault(clause, []).append(label)
    if not groups:
        return ""
    if len(groups) > 2:
        faithful = sum(each.verdict.faithfulness == "faithful" for each in judged.judgements.values())
        return (
            f"Of {len(judged.judgements)} explainers, {faithful or 'none'} give{'s' * (faithful == 1)} faithful maps."
        )
    clauses = [f"{_maps_of(labels)} {clause}" for clause, labels in groups.items()]
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}."


def _maps_of(labels: Sequence[str]) -> str:
    return f"the maps of {listed(labels) if len(labels) <= 3 else f'{len(labels)} explainers'}"


def _clause(judgement: Judgement) -> str:
    verdict = judgement.verdict
    weights = " but ignore the model's weights" if verdict.model == "ignores the weights" else ""
    match verdict.faithfulness:
        case "faithful":
            return f"are faithful{weights}"
        case "image-specific" if verdict.rival:
            return f"are image-specific{weights}, but {_does(verdict.rival, 'their')}"
        case "says nothing":
            return "say nothing: those of other images do as well"
        case "too few images":
            return "were judged on too few images to tell"
    return ""


def _does(rival: Comparison, whose: str = "its", aside: str = "") -> str:
    """``a centred Gaussian does better``; aside: what is said of the rival in between."""
    name = rival.name.replace("its own", f"{whose} own")
    verb = "do" if rival.name == DEALT else "does"
    return f"{name}{aside} {verb} {'better' if rival.difference.high < 0 else 'as well'}"


def _against(measure: Measure, rival: Comparison) -> str:
    """Both scores, and the lead with its interval."""
    signed = is_signed(measure)
    own, theirs = number(measure.score.mean, signed), number(rival.control.mean, signed)
    return f"{measure.metric} {own} against {theirs}; ahead by {_with_interval(rival.difference)}"


def _with_interval(mean: Interval) -> str:
    return f"{number(mean.mean)} [{number(mean.low)}, {number(mean.high)}], n = {mean.n}"


def _faithfulness(judgement: Judgement) -> str | None:
    verdict, measure = judgement.verdict, judgement.measure("faithfulness")
    if measure is None or not judgement.controls:
        return None
    match verdict.faithfulness:
        case "image-specific" if verdict.rival:
            rival = verdict.rival
            aside = f", {_RIVALS[rival.name]}," if rival.name in _RIVALS else ""
            return f"image-specific, but {_does(rival, aside=aside)} ({_against(measure, rival)})"
        case "faithful":
            closest = min(judgement.controls, key=lambda each: each.difference.mean)
            return f"faithful: better than every control; closest is {closest.name} ({_against(measure, closest)})"
        case "says nothing":
            null = judgement.controls[0]
            return f"says nothing: {_does(null)} ({_against(measure, null)})"
        case "too few images":
            needed = f"; it would take about {verdict.needed:,}" if verdict.needed else ""
            return f"too few images to tell: {judgement.controls[0].difference.n} have a score{needed}"
    return None


def _model(judgement: Judgement) -> str | None:
    measure = judgement.measure("model")
    if measure is None or judgement.verdict.model is None:
        return None
    told = (
        "other weights give other maps"
        if judgement.verdict.model == "about the model"
        else "with other weights the maps stay much the same"
    )
    return f"{judgement.verdict.model}: {told} ({measure.metric} {_with_interval(measure.score)}; 1: the same map)"


def _object(judgement: Judgement) -> str | None:
    measure = judgement.measure("localisation")
    if measure is None or judgement.verdict.object is None:
        return None
    finds = judgement.verdict.object == "finds the object"
    rivals = [each for each in judgement.object_controls if finds or not each.beaten]
    rival = min(rivals, key=lambda each: each.difference.mean)
    said = f"better than chance and every control; closest is {rival.name}" if finds else _does(rival)
    return f"{judgement.verdict.object}: {said} ({_against(measure, rival)})"
