"""Two runs side by side: what the comparison says of them, and what it refuses to say."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from two_runs import IDS, RECIPE, make_run

from xaitool import Recipe, Run, run
from xaitool.judge.intervals import interval
from xaitool.report import compare as compare_module
from xaitool.report.compare import compare, write_comparison
from xaitool.report.compare_drift import drift, ranks, spearman
from xaitool.report.compare_images import images_section
from xaitool.report.compare_pair import Pair, lead, maps_of
from xaitool.report.compare_predictions import counts_of
from xaitool.report.compare_settings import differing, flat
from xaitool.report.model import Section
from xaitool.report.sprites import BUDGET

#        ccccdddfff
RIGHT = "ccccdddfff"
A = "ccccdddffd"  # wrong about the last
B = "dccfdddffd"  # wrong about that one too, and about 0 and 3
EVIL = "<script>alert(1)</script>"
# As many images as an interval takes: the ten, four times.
MANY = {"true": RIGHT * 4, "ids": [f"test/{number:05d}" for number in range(40)]}


def changed(**values: Any) -> dict[str, Any]:
    """The recipe with other values; ``train__epochs`` is train.epochs."""
    recipe = copy.deepcopy(RECIPE)
    for key, value in values.items():
        *path, last = key.split("__")
        place = recipe
        for each in path:
            place = place[each]
        place[last] = value
    return recipe


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(Run(make_run(tmp_path / "a", A)), Run(make_run(tmp_path / "b", B)))


def sections(pair: Pair) -> dict[str, Section]:
    return {each.name: each for each in compare(pair.a, pair.b).sections}


def data_of(section: Section) -> dict[str, Any]:
    """What the gallery's script is given."""
    found = re.search(r'id="gallery-data">(.*?)</script>', str(section.html), re.DOTALL)
    assert found
    return json.loads(found[1])


# ---------------------------------------------------------------------------------------------------- the head


def test_the_head_says_who_leads_and_by_how_much(pair: Pair) -> None:
    page = compare(pair.a, pair.b)
    assert page.sentence == (
        "A gets 90.0% of 10 test images right, B 70.0%: a lead of 20.0 points, on too few images to tell more "
        "(it takes 30)."
    )
    facts = dict(page.facts)
    assert facts["Test accuracy of A (95% interval)"] == "90.00% (59.6–98.2)"
    assert [facts[each] for each in ("Both right", "Only A right", "Only B right", "Both wrong")] == list("7201")


def test_the_lead_has_the_same_size_whoever_is_called_a(pair: Pair) -> None:
    turned = compare(pair.b, pair.a).sentence
    assert turned.startswith("B gets 90.0% of 10 test images right, A 70.0%: a lead of 20.0 points, ")
    assert dict(compare(pair.b, pair.a).facts)["Only B right"] == "2"


def test_on_enough_images_the_lead_has_an_interval(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", A * 4, **MANY), make_run(tmp_path / "b", A * 3 + B, **MANY)
    page = compare(Run(a), Run(b))
    assert page.sentence.startswith("A gets 90.0% of 40 test images right, B 85.0%: a lead of 5.0 points [+0.0, +12.5]")
    assert page.sentence.endswith("which other test images might turn round.")
    assert page.sections[0].text.startswith("Square brackets above: 95% interval of the lead in points")


def test_from_one_image_nothing_follows(tmp_path: Path) -> None:
    one = {"true": "c", "ids": ["test/00000"], "explained": (), "judged": ()}
    page = compare(Run(make_run(tmp_path / "a", "c", **one)), Run(make_run(tmp_path / "b", "d", **one)))
    assert page.sentence == (
        "A gets 100.0% of 1 test image right, B 0.0%: a lead of 100.0 points, on too few images to tell more (it takes "
        "30)."
    )
    assert page.sections[0].text == ""
    by_name = {each.name: each for each in page.sections}
    (part,) = by_name["differences"].parts
    assert part.table
    assert [row[4] for row in part.table.rows] == ["–"]
    assert "a class of fewer than 30 has none" in part.text


def test_a_run_that_guesses_is_a_warning(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", RIGHT), make_run(tmp_path / "b", "dcccdcdfcd")
    assert compare(Run(a), Run(b)).warnings == ["run B is not clearly better than always naming “cat”"]


def test_classes_that_one_run_has_alone_are_counted(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", A, classes=["cat", "dog", "frog", "eel", "hen"])
    b = make_run(tmp_path / "b", B, classes=["cat", "dog", "fox"])
    (part,) = sections(Pair(Run(a), Run(b)))["differences"].parts
    assert part.text.endswith("A has 3 classes that B has not. B has 1 class that A has not.")


def test_where_one_run_was_not_trained_the_others_curves_are_there(tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / name) for name in "ab")
    journal = json.loads((b / "run.json").read_text())
    for stage in ("tune", "fit"):
        journal["stages"].pop(stage)
        journal["done"].remove(stage)
    (b / "run.json").write_text(json.dumps(journal))
    (b / "history.jsonl").unlink()
    training = sections(Pair(Run(a), Run(b)))["training"]
    assert training.text == "B was not trained in the run."
    assert len(training.figures) == 2
    assert training.table
    assert training.table.rows[0] == ("Epochs", "3", "–")
    assert {row[2] for row in training.table.rows} == {"–"}


def test_a_lead_that_is_certain_is_not_called_one_that_may_turn_round(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", RIGHT * 4, **MANY), make_run(tmp_path / "b", "ddddfffccc" * 4, **MANY)
    assert compare(Run(a), Run(b)).sentence == (
        "A gets 100.0% of 40 test images right, B 0.0%: a lead of 100.0 points [+100.0, +100.0]."
    )


def test_equal_runs_lead_by_nothing(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", "dcccdddfff"), make_run(tmp_path / "b", "cdccdddfff")
    assert compare(Run(a), Run(b)).sentence.startswith("Both get 90.0% of 10 test images right: difference 0 points, ")
    a, b = make_run(tmp_path / "c", "dcccdddfff" * 4, **MANY), make_run(tmp_path / "d", "cdccdddfff" * 4, **MANY)
    assert compare(Run(a), Run(b)).sentence.startswith("Both get 90.0% of 40 test images right: difference 0 points [")


def test_the_paired_interval_is_that_of_the_differences() -> None:
    found, expected = lead(40, 90, 1000), interval([-1] * 40 + [1] * 90 + [0] * 870, seed=5)
    assert found.mean == expected.mean == 0.05
    # Two bootstraps with other draws: the ends differ by a fraction of the interval's width.
    assert found.low == pytest.approx(expected.low, abs=0.003)
    assert found.high == pytest.approx(expected.high, abs=0.003)
    assert found.spread == pytest.approx(expected.spread)


def test_images_are_joined_by_id_in_whatever_order_they_stand(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", A)
    b = make_run(tmp_path / "b", B[::-1], true=RIGHT[::-1], ids=IDS[::-1], explained=(), judged=())
    assert counts_of(Pair(Run(a), Run(b))) == (7, 2, 0, 1)


# ---------------------------------------------------------------------------------------------------- settings


def test_settings_that_differ_are_listed_and_no_others(tmp_path: Path) -> None:
    other = changed(train__epochs=9, train__optimizer__nesterov=True, locked__packages={"torch": "2.16.0"})
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", recipe=other, environment={"device": "GPU"})
    parts = {each.title: each.table.rows for each in sections(Pair(Run(a), Run(b)))["settings"].parts if each.table}
    assert parts == {
        "In the recipe": [("train.epochs", "3", "9"), ("train.optimizer.nesterov", "–", "true")],
        "Plugins and main libraries": [("torch", "2.15.0", "2.16.0")],
        "Data and machine": [("Device", "CPU", "GPU")],
    }


def test_where_nothing_differs_it_says_so(tmp_path: Path) -> None:
    section = sections(Pair(Run(make_run(tmp_path / "a")), Run(make_run(tmp_path / "b"))))["settings"]
    assert section.text.startswith("Nothing:")
    assert not section.parts


def test_components_in_a_list_are_told_apart_by_their_labels() -> None:
    before = {"methods": [{"as": "one", "layers": "auto"}, {"as": "two", "layers": ["a"]}], "augment": [{"Flip": {}}]}
    after = {"methods": [{"as": "two", "layers": ["b"]}, {"as": "one", "layers": "auto"}], "augment": []}
    assert differing(dict(flat(before)), dict(flat(after))) == [
        ("methods.two.layers", '["a"]', '["b"]'),
        ("augment[1].Flip", "{}", "–"),
        ("augment", "–", "[]"),
    ]


# ---------------------------------------------------------------------------------------------------- predictions


def test_classes_stand_in_the_order_of_their_differences(pair: Pair) -> None:
    (part,) = sections(pair)["differences"].parts
    assert part.table
    first, *others = part.table.rows
    assert first[:4] == ("cat", "100.0%", "50.0%", "−50.0")
    assert first[5:] == ("2", "0", "4")
    assert [row[3] for row in others] == ["+0.0", "+0.0"]


def test_the_gallery_has_the_contested_images_that_both_have_maps_of(pair: Pair) -> None:
    section = sections(pair)["images"]
    data = data_of(section)
    # Images 0 and 3 are right in A only; 0 was explained by both and 3 judged by both.
    assert [each["id"] for each in data["items"]] == [IDS[0], IDS[3]]
    first = data["items"][0]
    assert (first["true"], first["predicted"], first["group"]) == ("cat", "dog", "only A is right")
    assert first["notes"] == [["In A", "cat, 75.0% sure: right"], ["In B", "dog, 75.0% sure: wrong"]]
    (explainer,) = data["explainers"]
    assert explainer["name"] == "gradcam"
    assert [each["target"] for each in explainer["targets"]] == ["A", "B"]
    assert first["models"] == {"A": "cat", "B": "dog"}
    assert first["remark"] == "A ✓ right, 75% sure · B ✗ wrong, 75% sure"
    assert "There are 2, and both runs have maps of 2 of them." in section.text


def test_a_comparison_that_is_too_large_for_mail_has_a_smaller_gallery(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(write_comparison(pair.a, pair.b, tmp_path / "whole.html").read_bytes())
    asked = []

    def watched(of: Pair, budget: int) -> Section:
        asked.append(budget)
        return images_section(of, budget)

    monkeypatch.setattr(compare_module, "images_section", watched)
    monkeypatch.setattr(compare_module, "MOST", whole)
    write_comparison(pair.a, pair.b, tmp_path / "small.html")
    monkeypatch.setattr(compare_module, "MOST", whole - 1000)
    write_comparison(pair.a, pair.b, tmp_path / "small.html")
    assert len(asked) == 3, "once more where it is too large"
    assert asked[2] < asked[0] == asked[1] == BUDGET


def test_each_map_in_the_gallery_is_its_own_runs(tmp_path: Path) -> None:
    pair = Pair(Run(make_run(tmp_path / "a", A)), Run(make_run(tmp_path / "b", B, maps_seed=2)))
    (explainer,) = data_of(sections(pair)["images"])["explainers"]
    for found, own in zip(explainer["targets"], (pair.a, pair.b), strict=True):
        known = maps_of(own)["gradcam"]
        assert found["high"] == pytest.approx([known[IDS[0]].max(), known[IDS[3]].max()], rel=1e-6)


def test_an_image_explained_in_one_run_and_judged_in_the_other_has_maps_in_both(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", A, explained=(0,), judged=())
    b = make_run(tmp_path / "b", B, explained=(), judged=(0, 1))
    assert [each["id"] for each in data_of(sections(Pair(Run(a), Run(b)))["images"])["items"]] == [IDS[0]]


def test_without_maps_of_the_same_images_it_says_what_to_do(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", A, explained=(0,), judged=())
    b = make_run(tmp_path / "b", B, explained=(3,), judged=())
    section = sections(Pair(Run(a), Run(b)))["images"]
    assert not section.html
    assert "There are 2, but none that both runs have maps of." in section.text
    assert "explain.select.ids" in section.text


def test_an_explainer_that_only_one_run_has_is_shown_too(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", A, methods=("gradcam", "lime"))
    pair = Pair(Run(a), Run(make_run(tmp_path / "b", B)))
    shown = {
        each["name"]: [of["target"] for of in each["targets"]]
        for each in data_of(sections(pair)["images"])["explainers"]
    }
    assert shown == {"gradcam": ["A", "B"], "lime": ["A"]}


# ---------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(("score", "said"), [((0.35, 0.3, 0.45), "overlap"), ((0.6, 0.5, 0.7), "apart")])
def test_verdicts_stand_beside_each_other(tmp_path: Path, score: tuple[float, float, float], said: str) -> None:
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", score=score, words="says nothing")
    section = sections(Pair(Run(a), Run(b)))["verdicts"]
    assert section.table
    assert section.table.rows == [("gradcam", "faithful; finds the object", "says nothing")]
    (scores,) = section.parts
    assert scores.table
    (row,) = scores.table.rows
    assert row[:3] == ("gradcam", "abpc, higher is better", "+0.300 [+0.200, +0.400], n = 4")
    assert row[4] == said
    assert "judged on the same images" in scores.text


def test_an_explainer_that_one_run_did_not_judge_has_no_score_there(tmp_path: Path) -> None:
    pair = Pair(Run(make_run(tmp_path / "a")), Run(make_run(tmp_path / "b", judged=())))
    section = sections(pair)["verdicts"]
    assert section.table
    assert section.table.rows[0][2] == "not judged"
    assert section.parts[0].table
    assert section.parts[0].table.rows[0][3:] == ("–", "–")


# ---------------------------------------------------------------------------------------------------- drift


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_the_rank_correlation_is_scipys_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(20):
        one, other = rng.integers(0, levels, (2, 7, 9)) / levels
        other = other + one * rng.integers(-1, 2)
        assert spearman(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic, abs=1e-12)


def test_ranks_of_ties_are_their_mean() -> None:
    values = np.array([[3.0, 1.0], [3.0, 2.0]])
    expected = rankdata(values) - 2.5
    np.testing.assert_allclose(ranks(values), expected / np.linalg.norm(expected), atol=1e-15)


@pytest.mark.parametrize("bad", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.diag([1.0, np.inf, 2.0])])
def test_a_map_without_ranks_has_no_correlation(bad: np.ndarray) -> None:
    assert np.isnan(spearman(bad, np.arange(9.0).reshape(3, 3)))
    assert drift([bad], [np.arange(9.0).reshape(3, 3)]).constant == 1


def test_the_same_maps_agree_fully_and_other_images_maps_by_chance() -> None:
    maps = np.random.default_rng(3).random((60, 8, 8))
    found = drift(list(maps), list(np.exp(maps)))  # ranks do not care how a map is scaled
    assert found.alike.low == pytest.approx(1)
    assert found.chance.low < 0 < found.chance.high
    assert found.alike.n == found.chance.n == 60


def test_what_all_maps_have_in_common_is_in_the_chance_level() -> None:
    rng = np.random.default_rng(4)
    common = rng.random((8, 8))
    one, other = (list(common + 0.1 * rng.random((40, 8, 8))) for _ in range(2))
    found = drift(one, other)
    assert found.chance.mean > 0.8
    assert found.alike.mean == pytest.approx(found.chance.mean, abs=0.05)


def test_drift_counts_only_images_of_which_both_say_the_same(pair: Pair) -> None:
    section = sections(pair)["drift"]
    assert section.table
    (row,) = section.table.rows
    # Seven images have maps in both; of 0 and 3 the runs predict different classes. The maps are the same ones.
    assert row[:4] == ("gradcam", "+1.000", "+1.000 to +1.000", "5")
    assert row[6] == "different class: 2"
    assert "fewer than 30 images" in section.text


def test_maps_of_different_sizes_are_not_compared(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", side=8)
    section = sections(Pair(Run(a), Run(b)))["drift"]
    assert section.table is None
    assert "gradcam: the maps are of different sizes" in section.text


# ---------------------------------------------------------------------------------------------------- not the same data


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"fingerprint": "e" * 64, "pictures_seed": 8}, "different fingerprints"),
        ({"ids": [f"other/{each}" for each in range(10)]}, "different images"),
        ({"classes": ["cat", "dog", "fox"]}, "different classes"),
    ],
)
def test_other_data_are_compared_as_far_as_it_makes_sense(tmp_path: Path, other: dict[str, Any], why: str) -> None:
    a, b = make_run(tmp_path / "a", A), make_run(tmp_path / "b", B, **other)
    page = compare(Run(a), Run(b))
    assert why in page.warnings[0]
    assert page.sentence == "A gets 90.0% of its 10 test images right, B 70.0% of its 10."
    assert "Both right" not in dict(page.facts)
    by_name = {each.name: each for each in page.sections}
    assert all(why in by_name[name].text for name in ("differences", "images", "drift"))
    assert not by_name["images"].html
    assert by_name["drift"].table is None
    (part,) = by_name["differences"].parts
    assert part.table
    assert {row[4] for row in part.table.rows} == {"–"}
    assert by_name["verdicts"].table
    assert "different images" in by_name["verdicts"].parts[0].text


def test_other_training_images_do_not_keep_the_same_test_images_from_being_compared(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", A), make_run(tmp_path / "b", B, fingerprint="e" * 64)
    page = compare(Run(a), Run(b))
    assert dict(page.facts)["Only A right"] == "2"
    assert any("training data are not the same" in each for each in page.warnings)


# ---------------------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    """The ids, and the names of the elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id" and value]


def test_the_page_is_written_and_the_runs_stay_as_they_are(pair: Pair, tmp_path: Path) -> None:
    def contents() -> dict[Path, bytes]:
        folders = (pair.a.folder, pair.b.folder)
        return {each: each.read_bytes() for folder in folders for each in folder.rglob("*") if each.is_file()}

    before = contents()
    path = write_comparison(pair.a, pair.b, tmp_path / "new" / "page.html")
    assert contents() == before
    html = path.read_text()
    page = Page(html)
    order = ["settings", "training", "differences", "images", "verdicts", "drift", "provenance"]
    assert [each for each in page.ids if each in order] == order
    assert len(page.ids) == len(set(page.ids))
    assert '<meta name="generator" content="xaitool">' in html
    assert html.count("data:image/svg+xml;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert write_comparison(pair.a, pair.b, tmp_path / "again.html").read_text() == html


def test_hostile_names_are_text(tmp_path: Path) -> None:
    recipe = changed(name=EVIL, explain__methods=[{"as": EVIL, "use": EVIL}])
    other = changed(name=f'"{EVIL}', explain__methods=[])
    environment = {"device": EVIL, "command": [EVIL]}
    a = make_run(tmp_path / "a", A, recipe=recipe, environment=environment, words=EVIL, ids=[EVIL, *IDS[1:]])
    b = make_run(tmp_path / "b", B, recipe=other, ids=[EVIL, *IDS[1:]])
    plain = make_run(tmp_path / "c", A), make_run(tmp_path / "d", B)
    html, usual = (
        write_comparison(Run(one), Run(two), tmp_path / "page.html").read_text() for one, two in ((a, b), plain)
    )
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in html
    assert EVIL not in html
    assert Page(html).tags.count("script") == Page(usual).tags.count("script")


def test_hostile_class_names_are_text(tmp_path: Path) -> None:
    classes = [f"c{EVIL}", f"d{EVIL}", f"f{EVIL}"]
    a, b = make_run(tmp_path / "a", A, classes=classes), make_run(tmp_path / "b", B, classes=classes)
    assert EVIL not in write_comparison(Run(a), Run(b), tmp_path / "page.html").read_text()


# ---------------------------------------------------------------------------------------------------- real runs

TINY = """
recipe: 1
name: tiny
seed: 3
runtime: {device: cpu}
dataset: {use: shapes, train: 64, test: 80, classes: [circle, cross, star]}
model: {use: timm, name: resnet, stem: cifar, layers: [1, 1, 1, 1], widths: [8, 8, 8, 8]}
train:
  epochs: 1
  batch_size: 32
  optimizer: {name: sgd}
  scheduler: {use: onecycle, max_lr: 0.05}
explain:
  select: {misclassified: 2, correct: 1}
  targets: [predicted]
  methods: [{use: gradcam, layers: [layer2]}]
  judge: {images: 30}
  metrics: [{use: abpc, steps: 8}]
  triage: false
report: {html: false}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two runs of one seed with different learning rates."""
    out = tmp_path_factory.mktemp("runs")
    a, b = (run(Recipe.parse(TINY.replace("0.05", rate)), out=out) for rate in ("0.05", "0.3"))
    return Pair(Run(a.folder), Run(b.folder))


def test_two_real_runs_of_one_seed_can_be_compared_image_by_image(real: Pair, tmp_path: Path) -> None:
    page = compare(real.a, real.b)
    assert all("not clearly better than always naming" in each for each in page.warnings)  # one short epoch
    found = {each.name: each for each in page.sections}
    (recipe,) = [each.table for each in found["settings"].parts if each.title == "In the recipe"]
    assert recipe
    assert recipe.rows == [("train.scheduler.max_lr", "0.05", "0.3")]
    assert sum(counts_of(real)) == 80
    # Both were judged on the same 30 images, whatever else each of them explained.
    a, b = real.maps
    judged = {each["id"] for each in real.a.judged_images}
    assert judged == {each["id"] for each in real.b.judged_images}
    assert judged <= a["gradcam"].keys() & b["gradcam"].keys()
    assert Page(write_comparison(real.a, real.b, tmp_path / "page.html").read_text()).ids
