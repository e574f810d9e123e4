"""The gallery as a reader uses it: filters, links, keys, and colours that agree with the figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xaitool.figures import overlay, triage
from xaitool.figures.triage import contrast
from xaitool.report.gallery import ImageCurves, Item, gallery

CLASSES = ("bird", "cat", "dog", "ship")
EVIL = "<script>alert(1)</script>"


def made(count: int = 12, side: int = 16, classes=CLASSES, **others):
    """A gallery of images whose true class goes round, the odd ones wrong, the sure ones first; and what is in it."""
    rng = np.random.default_rng(0)
    items = []
    for index in range(count):
        true = classes[index % len(classes)]
        predicted = classes[(index + index % 2) % len(classes)]
        confidence = 0.99 - 0.9 * index / count
        right = confidence if true == predicted else round(0.5 * (1 - confidence), 4)
        group = "sea" if index % 3 == 0 else "sky"
        notes = [("Without this evidence", f"Note {index}.")]
        items.append(Item(f"test/{index:05d}", true, predicted, confidence, right, classes[0], group, notes))
    pictures = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    maps = {
        name: {target: rng.normal(0.3, 1, (count, side, side)) for target in ("predicted", "true")}
        for name in ("gradcam", "lime")
    }
    rows = np.linspace(0.9, 0.1, 5) * np.ones((count, 1))
    rows[1] = np.nan
    lines = {"this map": rows, "at random": rows / 2}
    curves = {"gradcam": ImageCurves(np.linspace(0, 1, 5), lines, "deletion", np.arange(count) / 8)}
    return gallery(items, pictures, maps, curves, classes=classes, **others), items, pictures, maps


@pytest.fixture(scope="module")
def twelve(page_around):
    """A page with twelve images, and links to the gallery and to elsewhere."""
    links = (
        '<a id="to-gallery" href="#gallery&amp;true=cat&amp;predicted=dog">cats taken for dogs</a> '
        '<a id="to-end" href="#end">the end</a>'
    )
    space = "<p>…</p>" * 60
    part, *_ = made()
    return page_around(part, links + space, space + '<h2 id="end">The end</h2>')


@pytest.fixture(scope="module")
def five_hundred(page_around):
    """A page with five hundred images, and a link to what comes below them."""
    part, *_ = made(500)
    return page_around(part, '<a id="to-end" href="#end">the end</a>', '<h2 id="end">The end</h2>' + "<p>…</p>" * 60)


def titles(page) -> list[str]:
    return page.locator(".gallery-card h3 button > span:last-child").all_inner_texts()


def count(page) -> str:
    return page.locator(".gallery-count").inner_text()


def fragment(page) -> str:
    return page.evaluate("location.hash")


def choose(page, **values) -> None:
    for name, value in values.items():
        named = name in ("true", "predicted", "group")  # where "any" can be chosen too, and names may be empty
        page.locator(f"[name={name}]").select_option(f"={value}" if named and value else value)


def canvas_pixels(page, selector: str) -> np.ndarray:
    """H×W×3 of the first canvas that the selector finds, once it is drawn."""
    until(page, f"document.querySelector({json.dumps(selector)})?.width > 1")
    values = page.evaluate(
        """(selector) => {
            const canvas = document.querySelector(selector);
            const { width, height } = canvas;
            const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            return [height, width, [...copy.getImageData(0, 0, width, height).data]];
        }""",
        selector,
    )
    height, width, data = values
    return np.array(data, int).reshape(height, width, 4)[:, :, :3]


def until(page, condition: str) -> None:
    """Wait for a condition in JavaScript. Playwright's own way evals it, which the policy forbids."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(30)
    raise AssertionError(f"in vain: {condition}")


def slide(page, opacity: int) -> None:
    page.locator("[name=opacity]").fill(str(opacity))


def test_each_filter_leaves_what_it_says(open_page, twelve):
    page = open_page(twelve, "#gallery")
    assert count(page) == "12 of 12 images"
    choose(page, true="cat")
    assert titles(page) == ["cat taken for dog"] * 3
    assert count(page) == "3 of 12 images"
    choose(page, true="")
    choose(page, predicted="dog")
    assert set(titles(page)) == {"dog", "cat taken for dog"}
    choose(page, predicted="", group="sea")
    assert count(page) == "4 of 12 images"
    choose(page, group="")
    page.get_by_text("✗ wrong").click()
    assert count(page) == "6 of 12 images"
    assert all("taken for" in title for title in titles(page))
    page.get_by_text("✓ right").click()
    assert not any("taken for" in title for title in titles(page))
    page.get_by_role("button", name="Reset").click()
    assert count(page) == "12 of 12 images"
    page.get_by_label("least confidence").fill("50")
    page.get_by_label("greatest confidence").fill("80")
    assert count(page) == "4 of 12 images"  # 76, 69, 62 and 54 %
    assert page.locator("[name=result][value=all]").is_checked()


def test_each_order_puts_first_what_it_says(open_page, twelve):
    page = open_page(twelve, "#gallery")
    facts = page.locator(".gallery-card > p")

    def confidences():
        return [int(text.split()[1].rstrip("%")) for text in facts.all_inner_texts()]

    as_explained = confidences()
    choose(page, sort="confidence-up")
    assert confidences() == sorted(as_explained)
    choose(page, sort="confidence-down")
    assert confidences() == sorted(as_explained, reverse=True)
    choose(page, sort="margin")
    assert titles(page)[0] == "cat taken for dog"
    assert all("taken for" in title for title in titles(page)[:4])
    choose(page, sort="pair")
    assert titles(page) == sorted(titles(page))


def test_the_address_holds_what_differs_from_the_defaults_and_brings_it_back(open_page, twelve):
    page = open_page(twelve)
    choose(page, true="cat", explainer="lime", sort="confidence-down")
    page.get_by_text("✗ wrong").click()
    page.get_by_label("least confidence").fill("10")
    page.get_by_label("least confidence").blur()
    slide(page, 60)
    expected = "#gallery&explainer=lime&true=cat&result=wrong&least=10&sort=confidence-down&opacity=60"
    until(page, f"location.hash === '{expected}'")
    seen = titles(page), count(page)

    again = open_page(twelve, fragment(page))
    assert (titles(again), count(again)) == seen
    assert again.locator("[name=explainer]").input_value() == "lime"
    assert again.locator("[name=opacity]").input_value() == "60"
    assert again.locator("[name=result][value=wrong]").is_checked()
    assert "by lime" in again.locator("[data-kind=map] canvas").first.get_attribute("aria-label")


def test_back_undoes_a_filter_but_a_slider_leaves_no_trail(open_page, twelve):
    page = open_page(twelve, "#gallery")
    choose(page, true="cat")
    slide(page, 20)
    slide(page, 30)
    page.go_back()
    until(page, "document.querySelector('.gallery-count').textContent === '12 of 12 images'")
    assert page.locator("[name=true]").input_value() == ""


def test_what_is_unknown_in_an_address_is_ignored(open_page, twelve):
    page = open_page(
        twelve, "#gallery&true=emu&predicted=dog&least=abc&most=900&sort=__proto__&image=nowhere&constructor=1&%zz&a"
    )
    assert set(titles(page)) == {"dog", "cat taken for dog"}
    assert not page.locator("dialog").is_visible()


def test_a_link_elsewhere_filters_and_scrolls_to_the_gallery_and_other_anchors_go_on_working(open_page, twelve):
    page = open_page(twelve)
    assert page.evaluate("scrollY") == 0
    page.locator("#to-gallery").click()
    until(page, "Math.abs(document.querySelector('#gallery').getBoundingClientRect().top) < 60")
    assert titles(page) == ["cat taken for dog"] * 3
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.locator("#to-gallery").click()  # once more: the address does not change
    until(page, "Math.abs(document.querySelector('#gallery').getBoundingClientRect().top) < 60")
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.locator("#to-end").click()
    until(page, "document.querySelector('#end').getBoundingClientRect().top < innerHeight")
    assert count(page) == "3 of 12 images"


def test_on_the_way_to_another_place_the_address_goes_on_saying_what_is_seen(open_page, twelve):
    page = open_page(twelve, "#gallery&true=cat")
    page.locator("#to-end").click()
    until(page, "location.hash === '#end&true=cat'")
    assert count(page) == "3 of 12 images"
    again = open_page(twelve, fragment(page))
    assert count(again) == "3 of 12 images"
    assert again.evaluate(TOP_OF_END) < 900
    page.get_by_role("button", name="Reset").click()
    page.locator("#to-end").click()
    until(page, "location.hash === '#end'")
    page.go_back()
    page.go_back()
    until(page, "location.hash === '#end&true=cat'")
    until(page, "document.querySelector('.gallery-count').textContent === '3 of 12 images'")


def test_back_to_an_address_that_says_nothing_shows_what_one_sees_at_first(open_page, twelve):
    page = open_page(twelve)
    page.locator("#to-gallery").click()
    until(page, "document.querySelector('.gallery-count').textContent === '3 of 12 images'")
    page.go_back()
    until(page, "document.querySelector('.gallery-count').textContent === '12 of 12 images'")
    assert fragment(page) == ""
    assert page.locator("[name=true]").input_value() == ""


TOP_OF_END = "document.querySelector('#end').getBoundingClientRect().top"


@pytest.mark.parametrize("width", [390, 1280])
def test_a_place_below_a_gallery_that_is_not_all_there_yet_is_found(open_page, five_hundred, width):
    page = open_page(five_hundred, "#end", width=width)
    assert abs(page.evaluate(TOP_OF_END)) < 30
    page = open_page(five_hundred, width=width)
    page.locator("#to-end").click()
    until(page, f"Math.abs({TOP_OF_END}) < 30")
    page.wait_for_timeout(300)
    assert abs(page.evaluate(TOP_OF_END)) < 30, "it stays where it is"


def test_confidences_that_there_are_not_are_put_right_in_words(open_page, twelve):
    page = open_page(twelve, "#gallery")
    least, most, said = (page.locator(each) for each in ("[name=least]", "[name=most]", ".gallery-said"))
    most.fill("250")
    assert said.inner_text() == "Whole numbers from 0 to 100: the nearest is taken."
    most.blur()
    assert most.input_value() == "100"
    assert fragment(page) == "#gallery"
    least.fill("90")
    assert said.inner_text() == ""
    most.fill("40")
    assert said.inner_text() == "Nothing lies between: the first is the greater one."
    assert page.locator(".gallery-none").inner_text() == (
        "No image is at least 90% and at most 40% sure: exchange the two."
    )
    page.get_by_role("button", name="Reset").click()
    assert said.inner_text() == ""
    assert count(page) == "12 of 12 images"


def test_each_card_tells_its_image(open_page, twelve):
    page = open_page(twelve, "#gallery&true=cat")
    assert page.locator(".gallery-id").all_inner_texts() == ["test/00001", "test/00005", "test/00009"]


def test_maps_of_two_models_are_told_by_model_and_class(open_page, page_around):
    models = {"A": "cat", "B": "dog"}
    item = Item("a", "cat", "dog", 0.9, 0.1, "cat", models=models, remark="A ✓ right · B ✗ wrong")
    maps = {"gradcam": {name: np.random.default_rng(0).random((1, 8, 8)) for name in models}}
    page = open_page(page_around(gallery([item], np.zeros((1, 8, 8, 3), np.uint8), maps)))
    captions = page.locator(".gallery-card figcaption").all_inner_texts()
    assert captions == ["the image", "A: for “cat” (true)", "B: for “dog”"]
    assert "A ✓ right · B ✗ wrong" in page.locator(".gallery-card > p").inner_text()


def test_the_keyboard_moves_in_the_grid_and_opens_and_closes_an_image(open_page, twelve):
    page = open_page(twelve, "#gallery")

    def at():
        return page.evaluate("[...document.querySelectorAll('.gallery-card button')].indexOf(document.activeElement)")

    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.gallery-grid')).gridTemplateColumns.split(' ').length"
    )
    assert columns == 3
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Tab")
    assert at() == 0
    page.keyboard.press("Tab")
    assert at() == -1, "the grid is one stop for the tabulator"
    page.keyboard.press("Shift+Tab")
    path = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "ArrowDown", "ArrowRight", "Home"):
        page.keyboard.press(key)
        path.append(at())
    assert path == [1, 4, 3, 0, 0, 11, 11, 11, 0]

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="wrong: cat taken for dog")
    dialog.wait_for()
    assert fragment(page) == "#gallery&image=test%2F00001"
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    until(page, "location.hash === '#gallery'")
    assert at() == 1


def test_in_the_dialog_keys_and_buttons_go_through_what_the_filters_let_through(open_page, twelve):
    page = open_page(twelve, "#gallery&true=cat&sort=confidence-up")
    place = page.locator(".gallery-place")
    previous, following = page.get_by_role("button", name="Previous"), page.get_by_role("button", name="Next")
    page.locator(".gallery-card").first.click()
    assert place.inner_text() == "1 of 3"
    assert previous.get_attribute("aria-disabled") == "true"
    assert "test/00009" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("ArrowLeft")
    assert place.inner_text() == "1 of 3"
    page.keyboard.press("ArrowRight")
    assert "test/00005" in page.get_by_role("dialog").inner_text()
    following.click()
    assert place.inner_text() == "3 of 3"
    following.click(force=True)
    assert place.inner_text() == "3 of 3"
    page.keyboard.press("ArrowLeft")
    assert place.inner_text() == "2 of 3"
    page.get_by_role("button", name="Close").click()
    # The focus is where the reader's image is.
    until(page, "[...document.querySelectorAll('.gallery-card button')].indexOf(document.activeElement) === 1")


def test_one_image_shows_all_explainers_what_is_known_and_its_curves(open_page, twelve):
    page = open_page(twelve, "#gallery&image=test%2F00003")
    dialog = page.get_by_role("dialog")
    text = dialog.inner_text().replace("\u00a0", " ")
    for words in ("bird 76.5%", "ship 11.8%", "Runner-up", "Group", "sea", "Note 3.", "gradcam", "lime"):
        assert words in text, words
    assert dialog.locator("canvas").count() == 1 + 2 * 3
    chart = dialog.locator(".gallery-chart svg[role=img]")
    words = chart.get_attribute("aria-label").replace("\u00a0", " ")
    assert words == "deletion. this map: from 90% to 10%; at random: from 45% to 5%."
    assert chart.locator("path").count() == 2
    assert "part of the image that is replaced" in chart.text_content()
    assert "deletion of this image: 0.375" in dialog.locator(".gallery-chart figcaption").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "No curve was measured for this image." in dialog.inner_text()
    assert dialog.locator(".gallery-chart").count() == 0


def test_a_click_beside_the_dialog_closes_it(open_page, twelve):
    page = open_page(twelve, "#gallery&image=test%2F00003")
    page.mouse.click(3, 3)
    page.get_by_role("dialog").wait_for(state="hidden")


def test_an_overlay_and_a_difference_have_the_colours_of_the_figures(open_page, page_around):
    part, _, pictures, maps = made()
    page = open_page(page_around(part), "#gallery&true=cat")
    plain = canvas_pixels(page, "[data-kind=image] canvas")
    np.testing.assert_array_equal(plain, pictures[1])

    for_predicted, for_true = maps["gradcam"]["predicted"][1], maps["gradcam"]["true"][1]
    seen = canvas_pixels(page, "[data-kind=map] canvas")
    np.testing.assert_allclose(seen, 255 * overlay(pictures[1], for_predicted), atol=5)
    assert np.abs(seen - plain).max() > 60, "there is evidence to be seen"

    picture, difference = pictures[1] / 255, contrast(for_predicted, for_true)
    grey = picture.mean(2, keepdims=True)
    paper = 1 - triage._GREY * (grey.max() - grey) * (1 - np.abs(difference)[:, :, None])
    drawn = 255 * triage._COLOURS((difference + 1) / 2)[:, :, :3] * paper
    np.testing.assert_allclose(canvas_pixels(page, "[data-kind=difference] canvas"), drawn, atol=6)


def test_a_large_picture_and_its_smaller_map_still_agree_with_the_figures(open_page, page_around):
    side = 192
    across = np.linspace(0, 1, side)
    picture = np.round(255 * across[None, :, None] * np.ones((side, 1, 3))).astype(np.uint8)
    saliency = np.exp(-60 * ((across[None] - 0.3) ** 2 + (across[:, None] - 0.6) ** 2))
    items = [Item("a", "cat", "cat", 0.9, 0.9, "dog")]
    page = open_page(page_around(gallery(items, picture[None], {"gradcam": {"predicted": saliency[None]}})))
    seen = canvas_pixels(page, "[data-kind=map] canvas")
    np.testing.assert_allclose(seen, 255 * overlay(picture, saliency), atol=9)
    assert page.locator(".gallery-pixels").count() == 0


def test_small_pictures_keep_their_pixels_sharp(open_page, twelve):
    page = open_page(twelve, "#gallery")
    rendering = "getComputedStyle(document.querySelector('.gallery-card canvas')).imageRendering"
    assert page.evaluate(rendering) == "pixelated"


def test_the_slider_changes_the_overlay_and_nothing_else(open_page, page_around):
    part, _, pictures, maps = made()
    page = open_page(page_around(part), "#gallery&true=cat&opacity=0")
    np.testing.assert_array_equal(canvas_pixels(page, "[data-kind=map] canvas"), pictures[1])
    difference = canvas_pixels(page, "[data-kind=difference] canvas")
    slide(page, 100)
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    expected = 255 * overlay(pictures[1], maps["gradcam"]["predicted"][1], alpha=1)
    np.testing.assert_allclose(canvas_pixels(page, "[data-kind=map] canvas"), expected, atol=5)
    np.testing.assert_array_equal(canvas_pixels(page, "[data-kind=difference] canvas"), difference)


def test_another_explainer_shows_its_own_maps(open_page, page_around):
    part, _, pictures, maps = made()
    page = open_page(page_around(part), "#gallery&true=cat&explainer=lime")
    expected = 255 * overlay(pictures[1], maps["lime"]["predicted"][1])
    np.testing.assert_allclose(canvas_pixels(page, "[data-kind=map] canvas"), expected, atol=5)


def test_a_rightly_classified_image_has_one_overlay_and_a_mistake_two_and_their_difference(open_page, twelve):
    page = open_page(twelve, "#gallery")
    kinds = "(card) => [...card.querySelectorAll('figure')].map((figure) => figure.dataset.kind)"
    assert page.locator(".gallery-card").nth(0).evaluate(kinds) == ["image", "map"]
    assert page.locator(".gallery-card").nth(1).evaluate(kinds) == ["image", "map", "map", "difference"]
    captions = page.locator(".gallery-card").nth(1).locator("figcaption").all_inner_texts()
    assert captions[1:3] == ["for “dog” (predicted)", "for “cat” (true)"]
    assert page.locator(".gallery-card").nth(0).locator("figcaption").nth(1).inner_text() == "for “bird”"


def test_maps_that_say_nothing_say_so(open_page, page_around):
    items = [Item("a", "cat", "dog", 0.9, 0.1, "cat"), Item("b", "cat", "dog", 0.9, 0.1, "cat")]
    flat = np.full((2, 8, 8), -1.0)
    flat[1] = np.nan
    maps = {"gradcam": {"predicted": flat, "true": flat, "runner_up": flat, "ship": flat + 2}}
    page = open_page(page_around(gallery(items, np.zeros((2, 8, 8, 3), np.uint8), maps)))
    card = page.locator(".gallery-card").first
    card.get_by_text("no difference").wait_for()
    assert card.get_by_text("empty map").count() == 3
    assert "for “cat” (true and runner-up)" in card.inner_text()
    assert "for “ship”" in card.inner_text()


def test_on_paper_there_are_the_cards_with_their_titles_and_no_controls(open_page, twelve):
    page = open_page(twelve, "#gallery")
    canvas_pixels(page, ".gallery-card canvas")
    page.emulate_media(media="print")
    assert page.locator(".gallery-card h3 button").nth(1).is_visible()
    assert page.locator(".gallery-legend").is_visible()
    assert not page.locator(".gallery-controls").is_visible()
    assert page.locator(".gallery-card canvas").first.is_visible()


def test_on_paper_there_are_two_hundred_cards_and_a_word_on_the_others(open_page, five_hundred):
    page = open_page(five_hundred, "#gallery")
    assert not page.locator(".gallery-paper").is_visible()
    until(page, "[...document.querySelectorAll('.gallery-card')].at(199)?.querySelector('canvas').width > 1")
    page.locator(".gallery-card button").first.focus()
    page.keyboard.press("End")  # more cards than fit
    page.emulate_media(media="print")
    until(page, "[...document.querySelectorAll('.gallery-card')].filter((card) => card.offsetHeight).length === 200")
    assert page.locator(".gallery-paper").inner_text() == "On paper: the first 200 of 500."
    drawn = "[...document.querySelectorAll('.gallery-card')].slice(0, 200)"
    assert page.evaluate(f"{drawn}.every((card) => card.querySelector('canvas').width > 1)")


def test_where_nothing_matches_a_sentence_says_why(open_page, twelve):
    page = open_page(twelve, "#gallery&true=cat&predicted=ship")
    assert page.locator(".gallery-none").inner_text() == (
        "None of the 12 explained images is “cat” taken for “ship”. "
        "explain.select in the recipe says which images are explained."
    )
    assert count(page) == "0 of 12 images"
    page.get_by_role("button", name="Reset").click()
    assert not page.locator(".gallery-none").is_visible()


def test_hostile_names_are_shown_as_text(open_page, page_around):
    classes = (EVIL, "</script><img src=x onerror=alert(2)>", "__proto__", "שלום", 'c++ & "more"\'')
    part, *_ = made(classes=classes)
    page = open_page(page_around(part), "#gallery&true=c%2B%2B%20%26%20%22more%22'")
    assert count(page) == "2 of 12 images"
    page.get_by_role("button", name="Reset").click()
    assert {title.split(" taken for ")[0] for title in titles(page)} == set(classes)
    choose(page, true=EVIL, predicted="שלום")
    assert f"“{EVIL}” taken for “שלום”" in page.locator(".gallery-none").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.locator(".gallery-card").first.click()
    assert EVIL in page.get_by_role("dialog").inner_text()
    assert page.locator("#gallery img").count() == 0
    assert page.locator("#gallery script").count() == 1


def test_cards_and_pictures_come_as_one_scrolls(open_page, five_hundred):
    page = open_page(five_hundred)
    cards = page.locator(".gallery-card")
    canvas_pixels(page, ".gallery-card canvas")
    until(page, "document.querySelectorAll('.gallery-card').length >= 200")  # made ahead, for want of other work
    page.wait_for_timeout(200)
    first = cards.count()
    assert 200 <= first < 250
    page.evaluate("document.querySelector('.gallery-more').scrollIntoView()")
    until(page, f"document.querySelectorAll('.gallery-card').length > {first}")
    cards.first.locator("button").focus()
    page.keyboard.press("End")
    assert cards.count() == 500
    until(page, "[...document.querySelectorAll('.gallery-card')].at(-1).querySelector('canvas').width > 1")
    cards_drawn = "(all) => all.filter((card) => card.querySelector('canvas').width > 1).length"
    assert cards.evaluate_all(cards_drawn) <= 200, "what was seen long ago gives its pixels back"
    assert len(json.loads(page.locator("#gallery-data").text_content())["items"]) == 500


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_out_of_reach(open_page, twelve, dark):
    page = open_page(twelve, "#gallery", dark=dark)
    canvas_pixels(page, ".gallery-card canvas")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def violations():
        return [(each["id"], each["nodes"][0]["html"][:200]) for each in axe.run(page).response["violations"]]

    assert violations() == []
    page.locator(".gallery-card").nth(1).click()
    assert violations() == [], "in the dialog, without a curve"
    page.keyboard.press("ArrowRight")
    assert violations() == [], "in the dialog, with a curve"


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_sticks_out_sideways(open_page, page_around, width):
    part, *_ = made(classes=("a very long name " * 8, "Donau" * 30, "cat"))
    page = open_page(page_around(part), "#gallery", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".gallery-card").nth(1).click()
    sizes = page.locator("dialog").evaluate("(dialog) => [dialog.scrollWidth, dialog.clientWidth]")
    assert sizes[0] <= sizes[1]


def test_without_maps_and_without_images_the_page_still_works(open_page, page_around):
    items = [Item("a", "cat", "dog", 0.9, 0.1, "cat")]
    page = open_page(page_around(gallery(items, np.zeros((1, 8, 8, 3), np.uint8), {})), "#gallery&image=a")
    assert page.locator("dialog canvas").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".gallery-card figure").count() == 1
    empty = open_page(page_around(gallery([], np.zeros((0, 8, 8, 3), np.uint8), {})), "#gallery")
    assert "No images were explained" in empty.locator("#gallery").inner_text()
