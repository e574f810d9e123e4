"""The gallery's part of the page: what it holds, and that nothing in it is markup that a data set has brought."""

from __future__ import annotations

import base64
import json
import re
import time
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

from xaitool.figures import triage
from xaitool.figures.explanations import overlay
from xaitool.report.gallery import ImageCurves, Item, gallery

EVIL = "</script><script>alert(1)</script>"


def item(index: int = 0, true: str = "cat", predicted: str = "dog", **others) -> Item:
    return Item(f"test/{index:05d}", true, predicted, 0.7, 0.2, "bird", **others)


def pictures(count: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def maps(count: int, *explainers: str, targets=("predicted", "true"), side: int = 8):
    rng = np.random.default_rng(1)
    return {name: {target: rng.random((count, side, side)) for target in targets} for name in explainers}


class Page(HTMLParser):
    """The elements, and the text of each <script>, of a well-formed part of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(str(html))
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("input", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag):
        return [text for name, text in self.texts if name == tag]

    @property
    def data(self):
        (text,) = self.text("script")
        return json.loads(text)


def test_all_that_is_known_of_an_image_reaches_the_script():
    notes = [("Without this evidence", "It is taken for a bird.")]
    data = Page(gallery([item(group="sky", notes=notes)], pictures(1), maps(1, "gradcam"))).data
    assert data["items"] == [
        {
            "id": "test/00000",
            "true": "cat",
            "predicted": "dog",
            "confidence": 0.7,
            "true_probability": 0.2,
            "runner_up": "bird",
            "group": "sky",
            "notes": [["Without this evidence", "It is taken for a bird."]],
            "models": {},
            "remark": "",
        }
    ]
    (explainer,) = data["explainers"]
    assert explainer["name"] == "gradcam"
    assert [each["target"] for each in explainer["targets"]] == ["predicted", "true"]
    assert data["pictures"]["uris"][0].startswith("data:image/png;base64,")


def test_each_map_belongs_to_its_explainer_and_its_target():
    given = {
        name: {target: np.full((1, 4, 4), value) for target, value in targets.items()}
        for name, targets in {"a": {"predicted": 1.0, "true": 2.0}, "b": {"dog": 3.0}}.items()
    }
    data = Page(gallery([item()], pictures(1), given)).data
    found = {each["name"]: {of["target"]: of["low"] for of in each["targets"]} for each in data["explainers"]}
    assert found == {"a": {"predicted": [1.0], "true": [2.0]}, "b": {"dog": [3.0]}}


def test_the_colours_are_those_of_the_figures():
    colours = Page(gallery([item()], pictures(1), {})).data["colours"]
    for name, map_ in [("evidence", matplotlib.colormaps["plasma"]), ("difference", triage._COLOURS)]:
        table = np.frombuffer(base64.b64decode(colours[name]), np.uint8).reshape(256, 3)
        np.testing.assert_array_equal(table, map_(np.arange(256), bytes=True)[:, :3])


def test_the_opacity_at_first_is_that_of_the_figures():
    html = gallery([item()], pictures(1), maps(1, "gradcam"))
    (opacity,) = [each["value"] for each in Page(html).all("input") if each["name"] == "opacity"]
    given = overlay(np.ones((1, 2, 3)), np.array([[0.0, 1.0]]))
    same = overlay(np.ones((1, 2, 3)), np.array([[0.0, 1.0]]), alpha=int(opacity) / 100)
    np.testing.assert_array_equal(given, same)


def test_hostile_names_are_text_everywhere():
    hostile = item(0, EVIL, f'"{EVIL}', group=EVIL, notes=[(EVIL, EVIL)])
    curve = {EVIL: ImageCurves([0, 1], {EVIL: np.ones((1, 2))}, EVIL)}
    html = gallery([hostile], pictures(1), maps(1, EVIL), curve, classes=["\u2028", EVIL])
    page = Page(html)
    assert len(page.all("script")) == 1
    assert page.data["items"][0]["true"] == EVIL
    assert page.data["curves"][0]["lines"][0]["name"] == EVIL
    assert "alert(1)</script>" not in html
    assert EVIL in [each["value"] for each in page.all("option")]
    assert not re.search(r"[<>&\u2028\u2029]", re.search(r'id="gallery-data">(.*?)</script>', html, re.S)[1])


def test_nothing_in_the_part_breaks_a_strict_policy():
    page = Page(gallery([item(group="g")], pictures(1), maps(1, "gradcam", "lime")))
    for tag, attributes in page.elements:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert [each["type"] for each in page.all("script")] == ["application/json"]


def test_what_there_is_can_be_chosen_with_its_numbers():
    items = [item(0), item(1, "cat", "cat"), item(2, "dog", "cat")]
    page = Page(gallery(items, pictures(3), maps(3, "gradcam", "lime"), classes=["dog", "cat", "emu"]))
    options = page.text("option")
    assert options[:2] == ["gradcam", "lime"]
    assert options[2:6] == ["any", "dog (1)", "cat (2)", "emu (0)"]
    assert options[6:10] == ["any", "dog (1)", "cat (2)", "emu (0)"]


def test_classes_that_nobody_has_put_in_order_are_sorted_behind_the_others():
    page = Page(gallery([item(0, "b", "a"), item(1, "z", "c")], pictures(2), {}, classes=["z"]))
    assert [each["value"] for each in page.all("option")][:5] == ["", "=z", "=a", "=b", "=c"]


def test_groups_can_be_chosen_only_where_there_are_any():
    def names(html):
        return [each["name"] for each in Page(html).all("select")]

    assert "group" not in names(gallery([item()], pictures(1), {}))
    grouped = gallery([item(group="sea"), item(1)], pictures(2), {}, groups=["sky", "sea"])
    assert "group" in names(grouped)
    options = Page(grouped).text("option")
    assert options[options.index("sky (0)") :][:2] == ["sky (0)", "sea (1)"]


def test_without_maps_there_is_no_explainer_to_choose_and_no_legend():
    page = Page(gallery([item()], pictures(1), {}))
    assert "explainer" not in [each["name"] for each in page.all("select")]
    assert not page.all("canvas")
    assert page.data["explainers"] == []


def test_the_legend_of_differences_is_there_only_with_maps_to_subtract():
    def scales(html):
        return [each["data-scale"] for each in Page(html).all("canvas")]

    assert scales(gallery([item()], pictures(1), maps(1, "a"))) == ["evidence", "difference"]
    assert scales(gallery([item()], pictures(1), maps(1, "a", targets=["predicted"]))) == ["evidence"]


def test_without_images_a_sentence_says_so():
    html = gallery([], np.zeros((0, 8, 8, 3), np.uint8), {})
    page = Page(html)
    assert "No images were explained" in " ".join(page.text("p"))
    assert not page.all("script")
    assert not page.all("form")
    assert 'id="gallery"' in html


def test_without_a_script_a_sentence_says_where_the_pictures_are():
    html = gallery([item()], pictures(1), {})
    assert "figures/" in re.search(r"<noscript>(.*?)</noscript>", html, re.S)[1]


def test_curves_keep_their_gaps_and_images_without_any_have_none():
    rows = np.array([[0.9, 0.123456], [np.nan, np.nan], [np.nan, 0.5]])
    curve = {"gradcam": ImageCurves(np.array([0.0, 1.0]), {"this": rows}, "deletion", [0.25, np.nan, 1])}
    data = Page(gallery([item(index) for index in range(3)], pictures(3), {}, curve)).data
    assert data["curves"] == [
        {
            "name": "gradcam",
            "metric": "deletion",
            "fraction": [0.0, 1.0],
            "lines": [{"name": "this", "rows": [[0.9, 0.1235], None, [None, 0.5]]}],
            "scores": [0.25, None, 1.0],
        }
    ]


def test_a_probability_that_is_not_known_is_null():
    unknown = Item("a", "cat", "dog", 0.5, float("nan"), "")
    assert Page(gallery([unknown], pictures(1), {})).data["items"][0]["true_probability"] is None


def test_where_not_all_fit_a_sentence_says_how_many_are_shown():
    count = 1500
    items = [item(index, "cat", "cat") for index in range(count)]
    curve = {"a": ImageCurves([0, 1], {"this": np.ones((count, 2))}, "deletion")}
    html = gallery(items, pictures(count), maps(count, "a"), curve, budget=600_000)
    data = Page(html).data
    shown = len(data["items"])
    assert 500 < shown < count
    assert f"{shown:,} of 1,500 explained images are shown here; explanations/ has all." in html
    assert len(data["curves"][0]["lines"][0]["rows"]) == shown
    assert len(data["explainers"][0]["targets"][0]["low"]) == shown
    assert f"cat ({shown})" in html
    assert len(html) < 615_000
    assert "are shown here" not in gallery(items[:5], pictures(5), maps(5, "a"))


@pytest.mark.parametrize("what", ["pictures", "maps", "curves"])
def test_something_not_given_for_each_image_is_refused(what):
    counts = {"pictures": 2, "maps": 2, "curves": 2, what: 1}
    curve = {"a": ImageCurves([0, 1], {"this": np.ones((counts["curves"], 2))}, "deletion")}
    with pytest.raises(ValueError, match=rf"{what}.*1 given for 2 images"):
        gallery([item(), item(1)], pictures(counts["pictures"]), maps(counts["maps"], "a"), curve)


def test_two_thousand_small_images_with_four_maps_take_seconds_and_fit():
    count = 2000
    items = [item(index) for index in range(count)]
    given = pictures(count, 32), maps(count, "a", "b", side=32)
    start = time.process_time()
    html = gallery(items, *given)
    assert time.process_time() - start < 5
    assert len(html) < 20_000_000
    assert len(Page(html).data["items"]) == count
