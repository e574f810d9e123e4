"""The report's section on whether the explanations can be trusted: verdicts, scores, controls, layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from xaitool import figures
from xaitool.figures import Dot, Dots
from xaitool.figures.verdicts import Mark
from xaitool.findings import listed
from xaitool.judge.choice import Choice
from xaitool.judge.judged import Judged
from xaitool.judge.judgement import CHANCE, Curves, Judgement, Measure
from xaitool.judge.verdict import Comparison
from xaitool.report.model import FigureItem, Section, Table
from xaitool.report.wording import (
    ASPECTS,
    DIRECTIONS,
    MEANINGS,
    bounds,
    explained_verdict,
    is_signed,
    meaning,
    number,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    # Writes a figure, given its name, itself, its content in words and a caption.
    AddFigure = Callable[[str, Figure, str, str], FigureItem]

Judgements = Mapping[str, Judgement]

_OWN = "its own maps"


def verdict_sections(judged: Judged, add: AddFigure, summaries: Mapping[str, str] | None = None) -> list[Section]:
    """The section, where there is anything to say. summaries: of metrics, one line each, by their labels."""
    if not (judged.judgements or judged.choices or judged.failed):
        return []
    terms = [(label, explained_verdict(each, judged.choices.get(label))) for label, each in judged.judgements.items()]
    terms += [(label, f"Could not be judged: {reason}.") for label, reason in judged.failed.items()]
    parts = [
        *_scores(judged.judgements),
        *_controls(judged.judgements, add),
        *_layers(judged, add),
        Section("What the words mean", terms=[*MEANINGS, *_metrics(judged.judgements, summaries or {})], folded=True),
    ]
    return [Section("Can the explanations be trusted?", _on_what(judged), terms=terms, parts=parts, name="trust")]


def _metrics(judgements: Judgements, summaries: Mapping[str, str]) -> list[tuple[str, str]]:
    """What each metric asks, and how."""
    measures = {each.metric: each for judgement in judgements.values() for each in judgement.measures}
    return [(f"{name}, a metric", meaning(each, summaries.get(name, ""))) for name, each in measures.items()]


def layers_in_use(choices: Mapping[str, Choice]) -> str:
    """Which layer each explainer looks at, a sentence each."""
    return " ".join(f"{label} {each.words() or f'looks at {each.place}'}." for label, each in choices.items())


def _on_what(judged: Judged) -> str:
    counts = [each.images for judgement in judged.judgements.values() for each in judgement.measures]
    if not counts:
        return "No explainer was judged."
    compared = any(each.scores for each in judged.choices.values())
    apart = " Layers were compared on other images." if compared else ""
    said = f"Measured on {max(counts):,} test images, whether the model is right about them or not."
    return f"{said}{apart} In square brackets: 95% intervals."


def _scores(judgements: Judgements) -> Iterator[Section]:
    """The table of all metrics; explainers stand together, so that they can be compared."""
    metrics = dict.fromkeys(each.metric for judgement in judgements.values() for each in judgement.measures)
    rows = []
    for metric in metrics:
        found = [(label, each) for label, one in judgements.items() for each in one.measures if each.metric == metric]
        rows += [_score_row(label, each, first=place == 0) for place, (label, each) in enumerate(found)]
    if rows:
        said = [
            "Where several metrics are of one aspect, the first decides the verdict.",
            "Chance is what a map that knows nothing scores.",
            *_without_chance(judgements),
        ]
        yield Section("All scores", " ".join(said), table=Table(_SCORE_COLUMNS, rows))


# Why a metric of this aspect has no chance level.
_WITHOUT_CHANCE = {
    "faithfulness": "whose level depends on the images: the controls below stand for it",
    "model": "which compares the explainer's maps with one another",
    "class": "which compares the explainer's maps with one another",
    "localisation": "which does not give it",
    "stability": "which compares a map with itself",
    "complexity": "of which neither high nor low is better",
}


def _without_chance(judgements: Judgements) -> Iterator[str]:
    """A sentence on the metrics that have no chance level, those of one reason together."""
    measures = [each for judgement in judgements.values() for each in judgement.measures]
    known = {each.metric for each in measures if each.chance is not None}
    reasons: dict[str, dict[str, None]] = {}
    for each in measures:
        if each.metric not in known:
            reasons.setdefault(_WITHOUT_CHANCE[each.aspect], {})[each.metric] = None
    if reasons:
        said = "; ".join(f"{listed(list(names))}, {why}" for why, names in reasons.items())
        yield f"There is no such level for {said}."


_SCORE_COLUMNS = (
    "Metric", "Aspect", "Explainer", "Score", "95% interval", "Images", "Better is", "Chance", "Left out",
)  # fmt: skip
_BETTER = {"higher": "higher", "lower": "lower", "none": "neither"}


def _score_row(label: str, measure: Measure, first: bool) -> tuple[str, ...]:
    """What is the same for all explainers stands in the first row of a metric only."""
    signed = is_signed(measure)
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in measure.left_out.items())
    return (
        measure.metric if first else "",
        ASPECTS[measure.aspect] if first else "",
        label,
        number(measure.score.mean, signed),
        bounds(measure.score, signed),
        f"{measure.score.n:,}",
        _BETTER[measure.direction] if first else "",
        "none" if measure.chance is None else number(measure.chance, signed),
        left_out or "none",
    )


def _controls(judgements: Judgements, add: AddFigure) -> Iterator[Section]:
    """What decides the verdicts, in pictures and in numbers: faithfulness, then the object."""
    compared = {label: list(_comparisons(each)) for label, each in judgements.items()}
    if not any(compared.values()):
        return
    panels = {label: [_dots(*each) for each in found] for label, found in compared.items()}
    drawn = [
        add(
            "verdict_scores",
            figures.scores_against_controls(panels),
            "Scores of the explainers and of their controls with 95% intervals; the numbers are in the table.",
            "Each explainer's score beside those of maps that know nothing of the model, or nothing of the image.",
        )
    ]
    curves = {label: _curves(each) for label, each in judgements.items() if _curves(each)}
    if figures.has_curves(curves):
        alt = "Probability of the predicted class while more and more of the image is replaced, explainer by explainer."
        caption = "Means over the images that have a score. Explainers' maps are drawn strong, controls thin."
        drawn.append(add("verdict_curves", figures.perturbation_curves(curves), alt, caption))
    tables = [
        Section(f"The figures: {metric}, {direction}", table=Table(_CONTROL_COLUMNS, rows), folded=True)
        for (metric, direction), rows in _control_rows(compared).items()
    ]
    yield Section("Compared with maps that know nothing", figures=drawn, parts=tables)


_CONTROL_COLUMNS = (
    "Explainer", "Maps", "Score", "95% interval", "Ahead by", "95% interval", "Images", "Beaten",
)  # fmt: skip


def _comparisons(judgement: Judgement) -> Iterator[tuple[Measure, tuple[Comparison, ...]]]:
    """The measures that decide, each with what it was compared with."""
    for aspect, rivals in (("faithfulness", judgement.controls), ("localisation", judgement.object_controls)):
        if (measure := judgement.measure(aspect)) and rivals:
            yield measure, rivals


def _control_rows(
    compared: Mapping[str, Sequence[tuple[Measure, tuple[Comparison, ...]]]],
) -> dict[tuple[str, str], list[tuple[str, ...]]]:
    """By metric and direction, the rows of all explainers."""
    tables: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for label, found in compared.items():
        for measure, rivals in found:
            signed, own = is_signed(measure), measure.score
            rows = tables.setdefault((measure.metric, DIRECTIONS[measure.direction]), [])
            rows.append((label, _OWN, number(own.mean, signed), bounds(own, signed), "", "", f"{own.n:,}", ""))
            rows += [
                (
                    "",
                    each.name,
                    number(each.control.mean, signed),
                    bounds(each.control, signed),
                    number(each.difference.mean),
                    bounds(each.difference),
                    f"{each.difference.n:,}",
                    _BEATEN[_mark_of(each)],
                )
                for each in rivals
            ]
    return tables


def _dots(measure: Measure, rivals: Sequence[Comparison]) -> Dots:
    own = measure.score
    rows = [Dot(_OWN, own.mean, own.low, own.high, "own")]
    rows += [
        Dot(each.name, each.control.mean, each.control.low, each.control.high, _mark_of(each))
        for each in rivals
        if each.name != CHANCE
    ]
    return Dots(f"{measure.metric} ({DIRECTIONS[measure.direction]})", rows, measure.chance)


def _mark_of(rival: Comparison) -> Mark:
    if not rival.measured:
        return "other"
    return "beaten" if rival.beaten else "not beaten"


_BEATEN: Mapping[Mark, str] = {"beaten": "yes", "not beaten": "no", "other": "too few images"}


def _curves(judgement: Judgement) -> dict[str, Curves]:
    measure = judgement.measure("faithfulness")
    return {_OWN: measure.curves, **judgement.curves} if measure else {}


def _layers(judged: Judged, add: AddFigure) -> Iterator[Section]:
    """Every layer that could be looked at."""
    choices = judged.choices
    if not choices:
        return
    measures = [each for judgement in judged.judgements.values() for each in judgement.measures]
    better = {each.metric: f" ({DIRECTIONS[each.direction]})" for each in measures}
    panels, rows = {}, []
    for label, choice in choices.items():
        if not choice.scores:  # there were too few images to try any
            continue
        dots = [Dot(name, each.mean, each.low, each.high, _mark(choice, name)) for name, each in choice.scores.items()]
        panels[label] = Dots(choice.metric + better.get(choice.metric, ""), dots)
        for place, (name, each) in enumerate(choice.scores.items()):
            said = _LAYER_WORDS[_mark(choice, name)]
            rows.append(("" if place else label, name, number(each.mean), bounds(each), f"{each.n:,}", said))
    if not panels:
        yield Section("Layers", layers_in_use(choices))
        return
    metric = listed(list(dict.fromkeys(dots.label for dots in panels.values())))
    picture = add(
        "verdict_layers",
        figures.scores_of_layers(panels),
        f"The {metric} of each layer with its 95% interval; the numbers are in the table.",
        "",
    )
    columns = ("Explainer", "Layer", "Score", "95% interval", "Images", "Note")
    figures_of_layers = Section(f"The figures: {metric}", table=Table(columns, rows), folded=True)
    yield Section("Layers", layers_in_use(choices), [picture], parts=[figures_of_layers])


def _mark(choice: Choice, layer: str) -> Mark:
    return "own" if layer == choice.used else "not beaten" if layer == choice.better else "other"


_LAYER_WORDS = {"own": "in use", "not beaten": "clearly better", "other": ""}
