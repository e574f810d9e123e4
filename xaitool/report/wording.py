"""What was measured of an explainer, in sentences for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from xaitool.findings import listed
from xaitool.judge.choice import Choice
from xaitool.judge.intervals import Interval
from xaitool.judge.judged import Judged
from xaitool.judge.judgement import DEALT, EDGES, GAUSSIAN, MEAN, SMOOTH, Judgement, Measure
from xaitool.judge.verdict import FEWEST, MARGIN, Comparison, Verdict, of_model

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
        "As far as the judged images tell, the maps fit their images no better than maps that were made for other "
        "images, or by so little that it does not count. They may look convincing, but nothing about a single image "
        "can be read from them.",
    ),
    (
        "Image-specific",
        "The maps fit their own images better than other images' maps do. Yet they are not clearly better than "
        "something that never looked at the model, such as a bright spot in the middle.",
    ),
    (
        "Faithful",
        "The maps point at what the model needs better than everything they were compared with. This is said of these "
        "test images as a whole, not of each map.",
    ),
    (
        "About the model, or ignores the weights",
        "The same network with random weights has learnt nothing, so a map about the model has to change with it. One "
        "that stays much the same shows the image, not what the model makes of it, even where it is faithful: the "
        "model may well need what such a map marks, but the map would be no other if it did not.",
    ),
    (
        "Finds the object",
        "More of the map lies on the true object than by chance, and than of every map it was compared with. Where it "
        "does not, the map may be wrong, or the model may look elsewhere.",
    ),
    (
        "Control",
        "A map that knows nothing of the model, or nothing of the image, scored by the same metric on the same images. "
        "An explanation has to do better than that, for a bright spot in the middle is a good guess in most "
        "photographs.",
    ),
    (
        "95% interval",
        "Drawn anew from other test images of the same kind, 95 of 100 such ranges would hold the true mean. “Beaten” "
        "means that, compared image by image, the explainer is ahead with its whole interval, and on the average by "
        f"at least {MARGIN:g} of the metric's range, as less means nothing.",
    ),
)

# What a metric of each aspect asks.
_QUESTIONS = {
    "faithfulness": "whether the prediction hangs on what the map marks",
    "model": "whether other weights give another map",
    "class": "whether another class gets another map",
    "localisation": "whether the map is on the object, where its true place is known",
    "stability": "whether the map survives a change of the image that nobody sees",
    "complexity": "how concentrated the map is",
}

# What a reader should know of a control that an explainer does not beat.
_RIVALS = {
    DEALT: "made for another image",
    SMOOTH: "which is noise",
    GAUSSIAN: "which only says “look at the middle”",
    EDGES: "which never saw the model",
    MEAN: "which is nearly the same for every image",
}


def number(value: float, signed: bool = True) -> str:
    """Three decimals; more where a value that has no sign is small; ``–`` where there is none. Zero is never minus."""
    if not math.isfinite(value):
        return "–"
    if signed:
        return f"{value:+z.3f}".replace("-", "−")
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"


def bounds(interval: Interval, signed: bool = True) -> str:
    """``+0.402 to +0.494``."""
    return f"{number(interval.low, signed)} to {number(interval.high, signed)}" if interval.n else "–"


def meaning(measure: Measure, summary: str) -> str:
    """What a metric asks, and how: two sentences. summary: its own, of one line; empty where it is not known."""
    low, high = (f"{end:g}".replace("-", "−").replace("inf", "infinity") for end in measure.range)
    how = f"{summary.rstrip('.')}; from" if summary else "From"
    return f"Asks {_QUESTIONS[measure.aspect]}. {how} {low} to {high}, {DIRECTIONS[measure.direction]}."


def is_signed(measure: Measure) -> bool:
    """Whether scores of this metric can be below zero."""
    return measure.range[0] < 0


def explained_verdict(judgement: Judgement, choice: Choice | None) -> str:
    """The verdict on one explainer in a few sentences, one a line, with the figures of its rivals."""
    said = [
        _faithfulness(judgement),
        _model(judgement),
        _both(judgement),
        _object(judgement),
        choice and choice.words(),
    ]
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
        return _counted([each.verdict for each in judged.judgements.values() if _clause(each)])
    clauses = [f"{_maps_of(labels)} {clause}" for clause, labels in groups.items()]
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}."


def _counted(verdicts: Sequence[Verdict]) -> str:
    """How many explainers are what, where there are too many outcomes to tell them all."""
    counts = Counter(map(_in_short, verdicts))
    said = [f"{counts[word]:,} {one if counts[word] == 1 else more}" for word, one, more in _IN_SHORT if counts[word]]
    return f"Of {len(verdicts):,} explainers that were judged, {listed(said)}."


# The word, and what is said of one explainer and of several.
_IN_SHORT = (
    ("faithful", "gives faithful maps", "give faithful maps"),
    ("partly", "gives maps that are faithful on some images only", "give maps that are faithful on some images only"),
    ("image-specific", "gives maps that are image-specific", "give maps that are image-specific"),
    ("weights", "gives maps that ignore the model's weights", "give maps that ignore the model's weights"),
    ("says nothing", "says nothing", "say nothing"),
    ("too few images", "was judged on too few images to tell", "were judged on too few images to tell"),
)


def _in_short(verdict: Verdict) -> str:
    if verdict.faithfulness in ("faithful", "image-specific") and verdict.model == "ignores the weights":
        return "weights"
    if verdict.faithfulness == "faithful" and verdict.partial:
        return "partly"
    return verdict.faithfulness or ""


def _maps_of(labels: Sequence[str]) -> str:
    return f"the maps of {listed(labels) if len(labels) <= 3 else f'{len(labels)} explainers'}"


def _clause(judgement: Judgement) -> str:
    verdict = judgement.verdict
    weights = " and ignore the model's weights" if verdict.model == "ignores the weights" else ""
    part = f" (only {verdict.partial.words()})" if verdict.partial else ""
    match verdict.faithfulness:
        case "faithful" if verdict.contradictory:
            return (
                "are not to be trusted as an explanation of the model: they stay much the same when its weights are "
                f"random, although its decisions hang on what they mark{part}"
            )
        case "faithful":
            return f"are faithful{part}"
        case "image-specific" if verdict.rival:
            return f"are image-specific{part}{weights}, but {_outdone(verdict.rival, 'their')}"
        case "says nothing":
            return f"say nothing{part}: as far as these images tell, those of other images do as well"
        case "too few images" if verdict.unusable:
            return f"cannot be judged: too few {verdict.too_few()}"
        case "too few images":
            return "were judged on too few images to tell"
    return ""


def _outdone(rival: Comparison, whose: str = "its", aside: str = "") -> str:
    """How an explainer does against a control that it does not beat; aside: what is said of the control.

    It is always the explainer that is ahead or not.
    """
    name = rival.name.replace("its own", f"{whose} own")
    if not rival.better:
        return f"not clearly better than {name}{aside and f', {aside}'}"
    return f"{name}{aside and f', {aside},'} {'do' if rival.name == DEALT else 'does'} better"


def _against(measure: Measure, rival: Comparison) -> str:
    """Both scores, and the explainer's lead with its interval."""
    signed = is_signed(measure)
    own, theirs = number(measure.score.mean, signed), number(rival.control.mean, signed)
    return f"{measure.metric} {own} against {theirs}; the explainer's lead: {_with_interval(rival.difference)}"


def _with_interval(mean: Interval) -> str:
    return f"{number(mean.mean)} [{number(mean.low)}, {number(mean.high)}], n = {mean.n}"


def _faithfulness(judgement: Judgement) -> str | None:
    verdict, measure = judgement.verdict, judgement.measure("faithfulness")
    if measure is None or not judgement.controls:
        return None
    null = judgement.controls[0]
    part = f" ({verdict.partial.words()})" if verdict.partial else ""
    match verdict.faithfulness:
        case "image-specific" if verdict.rival:
            rival = verdict.rival
            outdone = _outdone(rival, aside=_RIVALS.get(rival.name, ""))
            return f"image-specific{part}, but {outdone} ({_against(measure, rival)})"
        case "faithful":
            return f"faithful{part}: {_better(measure, judgement.controls)}"
        case "says nothing":
            if null.difference.low > 0:
                lead = f"ahead of {null.name}, but by less than the {number(null.margin, signed=False)} that counts"
            else:
                lead = f"no better than {null.name}, as far as {null.difference.n:,} images tell"
            return f"says nothing{part}: {lead} ({_against(measure, null)})"
        case "too few images" if verdict.unusable:
            return f"too few {verdict.too_few()}"
        case "too few images":
            return f"too few {verdict.too_few()}: {null.difference.n} can be compared with {null.name}"
    return None


def _better(measure: Measure, rivals: Sequence[Comparison], than: str = "every control") -> str:
    """Than all that could be compared, the closest with its figures; and what could not be."""
    closest = min((each for each in rivals if each.measured), key=lambda each: each.difference.mean)
    apart = listed([each.name for each in rivals if not each.measured])
    without = f" except {apart}, which too few images have a score of" if apart else ""
    return f"better than {than}{without}; closest is {closest.name} ({_against(measure, closest)})"


def _model(judgement: Judgement) -> str | None:
    measure = judgement.measure("model")
    if measure is None:
        return None
    figures = f"({measure.metric} {_with_interval(measure.score)}; 1: the same map)"
    match judgement.verdict.model:
        case "about the model":
            return f"about the model: other weights give other maps {figures}"
        case "ignores the weights":
            return f"ignores the weights: with other weights the maps stay much the same {figures}"
    if measure.score.n >= FEWEST and of_model(measure.score) is None:
        return f"cannot tell whether the maps are about the model {figures}"
    return None


def _both(judgement: Judgement) -> str | None:
    """How a map can be faithful and yet ignore the weights, and what follows."""
    if not judgement.verdict.contradictory:
        return None
    return (
        "both can hold: a mark that follows from the image alone may lie on what the model needs, so that the decision "
        "changes without it. But it would lie there for any other model too, so it is not to be trusted as an "
        "explanation of this one"
    )


def _object(judgement: Judgement) -> str | None:
    measure = judgement.measure("localisation")
    if measure is None or judgement.verdict.object is None:
        return None
    finds = judgement.verdict.object == "finds the object"
    if finds:
        return f"finds the object: {_better(measure, judgement.object_controls, 'chance and every control')}"
    rivals = [each for each in judgement.object_controls if each.measured and not each.beaten]
    rival = min(rivals, key=lambda each: each.difference.mean)
    return f"does not find the object: {_outdone(rival)} ({_against(measure, rival)})"
