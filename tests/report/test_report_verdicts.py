"""The report's section on trust: its figures are the judgement's, its sentences say what the verdict says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from xaitool.judge.choice import Choice
from xaitool.judge.intervals import Interval
from xaitool.judge.judged import Judged
from xaitool.judge.judgement import CHANCE, DEALT, EDGES, GAUSSIAN, MEAN, SMOOTH, Judgement, Measure
from xaitool.judge.verdict import MARGIN, Comparison, Coverage, Verdict, of_faithfulness, of_object
from xaitool.report.drawing import Drawing
from xaitool.report.model import FigureItem, ReportData, Section, Table
from xaitool.report.render import render
from xaitool.report.verdicts import layers_in_use, verdict_sections
from xaitool.report.wording import explained_verdict, listed, number, trust

NAMES = (DEALT, SMOOTH, GAUSSIAN, EDGES, MEAN)
FRACTION = np.linspace(0, 1, 4)
CURVES = {"fraction": FRACTION, "deletion": 0.9 - 0.8 * FRACTION, "insertion": 0.1 + 0.8 * FRACTION}
EVIL = """<script>alert(1)</script>"'&"""


def around(mean: float, n: int = 60) -> Interval:
    return Interval(mean, mean - 0.05, mean + 0.05, n, 0.2)


def measure(metric: str, aspect: str, direction: str, low: float, score: Interval, **more) -> Measure:
    values = np.full(60, score.mean)
    given = {"chance": None, "left_out": {}, "curves": {}} | more
    return Measure(metric, aspect, direction, (low, 1.0), score, values=values, chances=values, **given)


def compared(own: float, controls: dict[str, float], n: int) -> tuple[Comparison, ...]:
    return tuple(Comparison(name, around(its, n), around(own - its, n)) for name, its in controls.items())


def judgement(*controls: float, own: float = 0.4, n: int = 60, on_object: float = 0.3, curves=CURVES) -> Judgement:
    """Of an explainer with an ABPC of `own` whose controls have `controls`; chance finds the object at 0.17."""
    abpc = compared(own, dict(zip(NAMES, controls, strict=True)), n)
    mass = compared(on_object, {CHANCE: 0.17, GAUSSIAN: 0.2}, n)
    said = of_faithfulness(abpc[0], abpc[1:])
    verdict = Verdict(said.faithfulness, said.rival, said.needed, "about the model", of_object(mass[0], mass[1:]))
    measures = (
        measure("abpc", "faithfulness", "higher", -1.0, around(own, n), left_out={"constant map": 3}, curves=curves),
        measure("randomisation", "model", "lower", -1.0, around(0.02)),
        measure("mass_in_mask", "localisation", "higher", 0.0, around(on_object), chance=0.17),
        measure("gini", "complexity", "none", 0.0, Interval(0.0051, 0.0045, 0.0059, 57, 0.1)),
    )
    return Judgement("x", verdict, measures, abpc, mass, dict.fromkeys(NAMES, curves))


FAITHFUL = judgement(0.1, 0.0, 0.2, 0.1, 0.3)
SPECIFIC = judgement(0.1, 0.0, 0.5, 0.1, 0.3, on_object=0.18)
NOTHING = judgement(0.39, 0.0, 0.5, 0.1, 0.3)
# Ahead beyond chance of maps of other images, by less than counts.
_BY_LITTLE = Interval(0.007, 0.005, 0.009, 60, 0.01)
_NULL = replace(NOTHING.controls[0], difference=_BY_LITTLE, margin=0.01)
LITTLE = replace(NOTHING, controls=(_NULL, *NOTHING.controls[1:]))
SPECIFIC_AT_BEST = judgement(0.1, 0.0, 0.394, 0.1, 0.3)
IGNORANT = replace(FAITHFUL, verdict=replace(FAITHFUL.verdict, model="ignores the weights"))
FEW = judgement(0.1, 0.0, 0.2, 0.1, 0.3, n=12)
LAYERS = {"layer1": around(0.1), "layer2": around(0.5), "layer3": around(0.3)}
AUTOMATIC = Choice("abpc", LAYERS, "layer2", automatic=True)
NAMED = Choice("abpc", LAYERS, "layer3", automatic=False, better="layer2", lead=around(0.2))


def add(name: str, figure, alt: str, caption: str = "") -> FigureItem:
    """In place of what writes a figure, which takes a while."""
    return FigureItem(name.encode(), alt, caption)


def section(judged: Judged) -> Section:
    (only,) = verdict_sections(judged, add)
    return only


def part(whole: Section, title: str) -> Section:
    return next(each for each in whole.parts if each.title == title)


def table(one: Section) -> Table:
    assert one.table is not None
    return one.table


def pictures(one: Section) -> list[str]:
    return [item.content.decode() for each in one.parts for item in each.figures]


def test_every_score_stands_in_the_table_with_all_that_belongs_to_it():
    scores = table(part(section(Judged({"gradcam": FAITHFUL})), "All scores"))
    assert [dict(zip(scores.columns, row, strict=True)) for row in scores.rows[:3:2]] == [
        {
            "Metric": "abpc",
            "Aspect": "faithful",
            "Explainer": "gradcam",
            "Score": "+0.400",
            "95% interval": "+0.350 to +0.450",
            "Images": "60",
            "Better is": "higher",
            "Chance": "none",
            "Left out": "3 constant map",
        },
        {
            "Metric": "mass_in_mask",
            "Aspect": "on the object",
            "Explainer": "gradcam",
            "Score": "0.300",
            "95% interval": "0.250 to 0.350",
            "Images": "60",
            "Better is": "higher",
            "Chance": "0.170",
            "Left out": "none",
        },
    ]
    assert [row[0] for row in scores.rows] == ["abpc", "randomisation", "mass_in_mask", "gini"]


def test_why_a_metric_has_no_chance_level_is_told():
    text = part(section(Judged({"gradcam": FAITHFUL})), "All scores").text
    assert text.endswith(
        "Chance is what a map that knows nothing scores. There is no such level for abpc, whose level depends on the "
        "images: the controls below stand for it; randomisation, which compares the explainer's maps with one another; "
        "gini, of which neither high nor low is better."
    )
    known = replace(FAITHFUL, measures=(replace(FAITHFUL.measures[0], chance=0.0),))
    alone = part(section(Judged({"gradcam": known})), "All scores")
    assert alone.text.endswith("Chance is what a map that knows nothing scores.")
    assert table(alone).rows[0][7] == "+0.000"


def test_that_the_maps_are_faithful_and_ignore_the_weights_is_told_with_how_both_can_hold():
    lines = explained_verdict(IGNORANT, None).splitlines()
    assert lines[1].startswith("Ignores the weights: with other weights the maps stay much the same")
    assert lines[2].startswith("Both can hold: a mark that follows from the image alone may lie on what the model ")
    assert lines[2].endswith("so it is not to be trusted as an explanation of this one.")
    assert not any(line.startswith("Both") for line in explained_verdict(FAITHFUL, None).splitlines())


def test_explainers_stand_together_under_each_metric():
    scores = table(part(section(Judged({"a": FAITHFUL, "b": SPECIFIC})), "All scores"))
    assert [row[:3] for row in scores.rows[:4]] == [
        ("abpc", "faithful", "a"),
        ("", "", "b"),
        ("randomisation", "about the model", "a"),
        ("", "", "b"),
    ]


def test_every_control_stands_in_a_table_of_its_metric():
    faithful, on_object = part(section(Judged({"gradcam": SPECIFIC})), "Compared with maps that know nothing").parts
    rows = [tuple(row) for row in table(faithful).rows]
    assert rows[0] == ("gradcam", "its own maps", "+0.400", "+0.350 to +0.450", "", "", "60", "")
    assert rows[1] == ("", DEALT, "+0.100", "+0.050 to +0.150", "+0.300", "+0.250 to +0.350", "60", "yes")
    assert rows[3] == ("", GAUSSIAN, "+0.500", "+0.450 to +0.550", "−0.100", "−0.150 to −0.050", "60", "no")
    assert [row[1] for row in rows[1:]] == list(NAMES)
    assert (faithful.title, faithful.folded) == ("The figures: abpc, higher is better", True)
    assert [(row[1], row[7]) for row in table(on_object).rows[1:]] == [(CHANCE, "no"), (GAUSSIAN, "no")]


def test_every_layer_stands_in_a_table_with_the_one_in_use_and_a_better_one_marked():
    layers = part(section(Judged({"a": FAITHFUL}, {"a": NAMED})), "Layers")
    (scored,) = layers.parts
    assert [tuple(row) for row in table(scored).rows] == [
        ("a", "layer1", "+0.100", "+0.050 to +0.150", "60", ""),
        ("", "layer2", "+0.500", "+0.450 to +0.550", "60", "clearly better"),
        ("", "layer3", "+0.300", "+0.250 to +0.350", "60", "in use"),
    ]
    assert (scored.title, scored.folded) == ("The figures: abpc (higher is better)", True)
    assert "layer2 would be clearly more faithful" in layers.text


@pytest.mark.parametrize(
    ("judged", "names"),
    [
        (Judged({"a": FAITHFUL}, {"a": AUTOMATIC}), ["verdict_scores", "verdict_curves", "verdict_layers"]),
        (Judged({"a": FAITHFUL}), ["verdict_scores", "verdict_curves"]),
        (Judged({"a": judgement(0.1, 0.0, 0.2, 0.1, 0.3, curves={})}), ["verdict_scores"]),
        (Judged({"a": Judgement("a", Verdict(None), ())}), []),
        (Judged(failed={"a": "out of memory"}), []),
    ],
    ids=["all", "no choice", "no curves", "nothing measured", "failed"],
)
def test_only_what_there_is_is_drawn(judged, names):
    assert pictures(section(judged)) == names


def test_without_verdicts_there_is_no_section():
    assert verdict_sections(Judged(), add) == []
    assert trust(Judged()) == ""


def test_one_that_failed_is_told_beside_the_others():
    terms = dict(section(Judged({"a": FAITHFUL}, failed={"b": "out of memory"})).terms)
    assert terms["b"] == "Could not be judged: out of memory."
    assert terms["a"].startswith("Faithful")


@pytest.mark.parametrize(
    ("one", "starts"),
    [
        (
            FAITHFUL,
            f"Faithful: better than every control; closest is {MEAN} (abpc +0.400 against +0.300; the explainer's "
            "lead: +0.100 [+0.050, +0.150], n = 60)",
        ),
        (
            SPECIFIC,
            "Image-specific, but a centred Gaussian, which only says “look at the middle”, does better (abpc +0.400 ",
        ),
        (
            NOTHING,
            f"Says nothing: no better than {DEALT}, as far as 60 images tell (abpc +0.400 against +0.390; the "
            "explainer's lead: +0.010 [−0.040, +0.060], n = 60).",
        ),
        (
            LITTLE,
            f"Says nothing: ahead of {DEALT}, but by less than the 0.010 that counts (abpc +0.400 against +0.390; ",
        ),
        (FEW, f"Too few images (it would take about 30): 12 can be compared with {DEALT}."),
        (Judgement("x", Verdict(None), ()), "Not judged."),
    ],
    ids=["faithful", "image-specific", "says nothing", "too little", "too few images", "not judged"],
)
def test_the_verdict_is_told_with_the_figure_of_the_rival(one, starts):
    assert explained_verdict(one, None).startswith(starts)


def test_the_model_the_object_and_the_layer_have_a_line_each():
    assert explained_verdict(FAITHFUL, AUTOMATIC).splitlines()[1:] == [
        "About the model: other weights give other maps (randomisation +0.020 [−0.030, +0.070], n = 60; 1: the same "
        "map).",
        "Finds the object: better than chance and every control; closest is a centred Gaussian (mass_in_mask 0.300 "
        "against 0.200; the explainer's lead: +0.100 [+0.050, +0.150], n = 60).",
        "Looks at layer2, the most faithful of 3 layers.",
    ]
    assert explained_verdict(SPECIFIC, None).endswith(
        "Does not find the object: not clearly better than a centred Gaussian (mass_in_mask 0.180 against 0.200; the "
        "explainer's lead: −0.020 [−0.070, +0.030], n = 60)."
    )


SAY_NOTHING = "The maps of a and b say nothing: as far as these images tell, those of other images do as well."


@pytest.mark.parametrize(
    ("judgements", "sentence"),
    [
        ({"gradcam": FAITHFUL}, "The maps of gradcam are faithful."),
        ({"gradcam": SPECIFIC}, "The maps of gradcam are image-specific, but a centred Gaussian does better."),
        ({"a": NOTHING, "b": NOTHING}, SAY_NOTHING),
        ({"a": FAITHFUL, "b": FEW}, "The maps of a are faithful; the maps of b were judged on too few images to tell."),
        ({"a": SPECIFIC_AT_BEST}, "The maps of a are image-specific, but not clearly better than a centred Gaussian."),
        (
            {"a": FAITHFUL, "b": FEW, "c": NOTHING, "d": Judgement("d", Verdict(None), ())},
            "Of 3 explainers that were judged, 1 gives faithful maps, 1 says nothing and 1 was judged on too few "
            "images to tell.",
        ),
        (
            {"a": FAITHFUL, "b": IGNORANT, "c": NOTHING, "d": NOTHING},
            "Of 4 explainers that were judged, 1 gives faithful maps, 1 gives maps that ignore the model's weights and "
            "2 say nothing.",
        ),
        (
            {"a": IGNORANT},
            "The maps of a are not to be trusted as an explanation of the model: they stay much the same when its "
            "weights are random, although its decisions hang on what they mark.",
        ),
        (dict.fromkeys("abcd", FAITHFUL), "The maps of 4 explainers are faithful."),
        ({"a": Judgement("a", Verdict(None), ())}, ""),
    ],
    ids=[
        *["faithful", "image-specific", "two alike", "two", "not clearly better", "three", "four", "ignorant"],
        *["four alike", "not judged"],
    ],
)
def test_the_head_of_the_page_says_in_a_sentence_whether_to_trust(judgements, sentence):
    assert trust(Judged(judgements)) == sentence


def test_an_explainers_own_mean_map_is_its_own_in_the_head_too():
    assert trust(Judged({"a": judgement(0.1, 0.0, 0.1, 0.1, 0.4)})).endswith(
        "but not clearly better than their own mean map."
    )


def test_a_control_that_could_not_be_compared_is_named_and_is_no_rival():
    nothing = Interval(np.nan, np.nan, np.nan, 0, np.nan)
    controls = (*FAITHFUL.controls[:-1], Comparison(MEAN, nothing, nothing))
    one = replace(FAITHFUL, controls=controls)
    assert explained_verdict(one, None).startswith(
        f"Faithful: better than every control except {MEAN}, which too few images have a score of; closest is a "
    )
    rows = table(part(section(Judged({"a": one})), "Compared with maps that know nothing").parts[0]).rows
    assert [row[-1] for row in rows] == ["", "yes", "yes", "yes", "yes", "too few images"]


def test_what_is_true_of_some_images_only_is_told_with_their_number():
    some = replace(FAITHFUL, verdict=replace(FAITHFUL.verdict, coverage=Coverage(40, 60, {"constant map": 20})))
    assert explained_verdict(some, None).startswith("Faithful (on 40 of 60 images; 20 of 60 are constant): better ")
    assert trust(Judged({"a": some})) == "The maps of a are faithful (only on 40 of 60 images; 20 of 60 are constant)."
    assert trust(Judged({"a": some, "b": FEW, "c": NOTHING})) == (
        "Of 3 explainers that were judged, 1 gives maps that are faithful on some images only, 1 says nothing and 1 "
        "was judged on too few images to tell."
    )
    blank = Verdict("too few images", coverage=Coverage(0, 60, {"constant map": 60}))
    assert trust(Judged({"a": replace(FEW, verdict=blank)})) == (
        "The maps of a cannot be judged: too few usable maps (60 of 60 are constant)."
    )


def test_where_it_cannot_be_told_whether_the_maps_are_about_the_model_that_is_told():
    measures = (FAITHFUL.measures[0], measure("randomisation", "model", "lower", -1.0, around(0.48)))
    one = replace(FAITHFUL, measures=measures, verdict=replace(FAITHFUL.verdict, model=None))
    assert (
        explained_verdict(one, None)
        .splitlines()[1]
        .startswith("Cannot tell whether the maps are about the model (randomisation +0.480 ")
    )


def test_the_layers_in_use_are_told_even_where_nothing_is_to_be_said_of_them():
    plain = Choice("abpc", LAYERS, "layer3", automatic=False)
    said = layers_in_use({"a": AUTOMATIC, "b": plain})
    assert said == "a looks at layer2, the most faithful of 3 layers. b looks at layer3."


def test_names_and_reasons_are_escaped_and_pictures_embedded(tmp_path):
    judged = Judged({EVIL: FAITHFUL}, {EVIL: NAMED}, {f"{EVIL}2": EVIL})
    page = render(ReportData("x", "today", trust(judged), sections=verdict_sections(judged, Drawing(tmp_path).chart)))
    assert EVIL not in page
    assert page.count("&lt;script&gt;") > 5
    assert page.count("data:image/svg+xml;base64,") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "verdict_curves.png",
        "verdict_layers.png",
        "verdict_scores.png",
    ]
    assert re.findall(r"<h3>(.*?)</h3>", page) == [
        "All scores",
        "Compared with maps that know nothing",
        "Layers",
    ]
    assert "<summary>What the words mean</summary>" in page


def test_what_the_words_mean_is_folded_in_two_sentences_each():
    (whole,) = verdict_sections(Judged({"a": FAITHFUL}), add, {"abpc": "The area between two curves (Samek 2017)"})
    meanings = part(whole, "What the words mean")
    assert meanings.folded
    said = dict(meanings.terms)
    assert said["abpc, a metric"] == (
        "Asks whether the prediction hangs on what the map marks. The area between two curves (Samek 2017); from −1 to "
        "1, higher is better."
    )
    assert said["randomisation, a metric"].endswith("From −1 to 1, lower is better.")
    assert {"mass_in_mask, a metric", "gini, a metric", "Control"} <= set(said)
    assert f"on the average by at least {MARGIN:g} of the metric's range" in said["95% interval"]
    for term, words in meanings.terms:
        assert len(re.findall(r"\.(?: |$)", words)) == 2, term


@pytest.mark.parametrize(
    ("value", "signed", "written"),
    [
        (0.4, True, "+0.400"),
        (-0.0004, True, "+0.000"),
        (-0.0006, True, "−0.001"),
        (0.0051, False, "0.0051"),
        (0, False, "0.000"),
        (np.nan, True, "–"),
    ],
)
def test_numbers_are_written_alike(value, signed, written):
    assert number(value, signed) == written


def test_lists_are_written_as_people_do():
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
