"""The report of a real run, in a real browser: it works, asks for nothing, and keeps nobody out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from two_runs import make_run, stopped

from xaitool import Run
from xaitool.engine.progress import Silent
from xaitool.engine.runtime import open_runtime
from xaitool.recipe.schema import RuntimeSettings
from xaitool.report.compare import write_comparison
from xaitool.stream.explain import explain_files
from xaitool.stream.source import from_model

TINY = {"use": "timm", "name": "resnet", "stem": "cifar", "layers": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def page_of_real(small_run: Run) -> str:
    return small_run.report.read_text()


@pytest.fixture(scope="session")
def hostile(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the same run, had one of its classes had a malicious name."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    shutil.copytree(small_run.folder, folder)
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".csv", ".yaml"):
            path.write_text(re.sub(r"\bstar\b", EVIL, path.read_text()))
    return Run(folder).write_report().read_text()


def mistakes(run: Run) -> list[dict[str, str]]:
    return [each for each in run.explained if each["correct"] == "0"]


def alike(run: Run, one: dict[str, str]) -> list[dict[str, str]]:
    """The explained images of the same true and predicted class."""
    return [each for each in run.explained if all(each[key] == one[key] for key in ("true", "predicted"))]


def cards(page: Any) -> list[str]:
    return page.locator(".gallery-card h3").all_inner_texts()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_it_opens_without_complaint_and_nothing_sticks_out(
    open_page: Callable[..., Any], page_of_real: str, width: int, dark: bool
) -> None:
    page = open_page(page_of_real, width=width, dark=dark)
    assert page.locator("h1").inner_text() == "quickstart"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("main img").count() > 5
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 64) == dark


def test_it_answers_in_order(open_page: Callable[..., Any], page_of_real: str) -> None:
    page = open_page(page_of_real)
    assert page.locator("h2").all_inner_texts() == [
        "How good is the model?",
        "Where does it fail?",
        "What does it look at?",
        "Why is it wrong?",
        "Can the explanations be trusted?",
        "Data",
        "How to repeat this run",
    ]
    links = page.locator("nav a")
    assert links.all_inner_texts() == page.locator("h2").all_inner_texts()
    links.nth(4).click()
    assert abs(page.locator("#trust").bounding_box()["y"]) < 40
    again = open_page(page_of_real, "#trust")
    assert abs(again.locator("#trust").bounding_box()["y"]) < 40


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_keeps_nobody_out(open_page: Callable[..., Any], page_of_real: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(page_of_real, dark=dark)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_what_a_small_confusion_matrix_says_takes_few_lines(
    page_of_real: str, width: int, open_page: Callable[..., Any]
) -> None:
    page = open_page(page_of_real, width=width)
    caption = page.locator(".confusion caption")
    line = caption.evaluate("each => parseFloat(getComputedStyle(each).lineHeight)")
    assert caption.bounding_box()["height"] < 4.5 * line  # with its padding


def test_a_number_of_the_confusion_matrix_leads_to_its_images(
    open_page: Callable[..., Any], page_of_real: str, small_run: Run
) -> None:
    page = open_page(page_of_real)
    one = mistakes(small_run)[0]
    name = f"{one['true']} taken for {one['predicted']}:"
    assert page.get_by_role("link", name=name).get_attribute("title") == f"{len(alike(small_run, one))} explained"
    page.get_by_role("link", name=name).click()
    assert (
        page.locator(".gallery-count").inner_text()
        == f"{len(alike(small_run, one))} of {len(small_run.explained)} images"
    )
    assert all(one["true"] in title and one["predicted"] in title for title in cards(page))
    assert 0 <= page.locator(".gallery-count").bounding_box()["y"] < 900


def test_a_thumbnail_opens_its_image_with_its_curves(
    open_page: Callable[..., Any], page_of_real: str, small_run: Run
) -> None:
    page = open_page(page_of_real)
    page.locator(".strip a").nth(1).click()
    dialog = page.locator("dialog[open]")
    assert mistakes(small_run)[1]["id"] in dialog.inner_text()
    assert dialog.get_by_text("abpc of this image: ").count() == 2  # one curve an explainer
    assert dialog.get_by_text("least relevant pixels first").count() == 2
    chosen = small_run.explained.index(mistakes(small_run)[1])
    score = small_run.curves("gradcam")["scores"][chosen]
    assert dialog.get_by_text(f"abpc of this image: {score:.3f}").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_back_closes_an_image_that_was_opened_from_nowhere(open_page: Callable[..., Any], page_of_real: str) -> None:
    page = open_page(page_of_real)
    page.locator(".gallery-card").first.click()
    assert page.locator("dialog[open]").count() == 1
    page.go_back()
    page.wait_for_function("!location.hash")
    assert page.locator("dialog[open]").count() == 0


def test_a_class_with_a_malicious_name_is_shown_as_such(open_page: Callable[..., Any], hostile: str) -> None:
    page = open_page(hostile)
    assert page.get_by_text(EVIL).count() > 10
    page.locator(".strip a").first.click()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelectorAll('script').length") == 2  # the page's own, and the gallery's data


def test_the_recipe_can_be_copied(open_page: Callable[..., Any], page_of_real: str, small_run: Run) -> None:
    page = open_page(page_of_real)
    page.get_by_text("The recipe", exact=True).click()
    page.evaluate("() => { navigator.clipboard.writeText = async text => { window.taken = text; }; }")
    page.get_by_role("button", name="Copy the recipe").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("window.taken") == small_run.recipe


def test_where_the_clipboard_is_refused_the_text_is_selected(open_page: Callable[..., Any], page_of_real: str) -> None:
    page = open_page(page_of_real)
    page.evaluate("() => { navigator.clipboard.writeText = async () => { throw new Error('no'); }; }")
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_role("button", name="Press Ctrl+C to copy").wait_for()
    assert page.evaluate("getSelection().toString().trim()") == "xaitool run recipe.lock.yaml"


def test_on_paper_there_is_all_but_what_cannot_be_clicked_there(
    open_page: Callable[..., Any], page_of_real: str
) -> None:
    page = open_page(page_of_real, dark=True)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.get_by_role("button", name="Copy the command").is_visible()
    assert page.locator(".chart img").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.chart img')).filter") == "none"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_on_paper_all_is_unfolded_and_nothing_is_cut(open_page: Callable[..., Any], page_of_real: str) -> None:
    page = open_page(page_of_real, width=718)  # A4, without its margins
    page.locator("details").first.locator("summary").click()
    was_open = page.locator("details[open]").count()
    page.emulate_media(media="print")
    page.wait_for_function("!document.querySelector('details:not([open])')")  # the page is told a frame later
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    too_wide = "(boxes) => boxes.filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.ariaLabel)"
    assert page.locator(".wide, pre, .chart").evaluate_all(too_wide) == []
    numbers = page.locator(".confusion td[class^=right], .confusion td[class^=wrong]")
    looks = "(cells) => cells.map((cell) => getComputedStyle(cell)).map((of) => [of.printColorAdjust, of.color])"
    assert {tuple(each) for each in numbers.evaluate_all(looks)} == {("exact", "rgb(0, 0, 0)")}
    assert len(page.pdf(format="A4")) > 10_000
    page.emulate_media(media="screen")
    page.wait_for_function("document.querySelectorAll('details[open]').length === 1")
    assert was_open == 1


def test_on_a_phone_figures_fit_or_show_that_there_is_more(open_page: Callable[..., Any], page_of_real: str) -> None:
    page = open_page(page_of_real, width=390)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.wait_for_timeout(100)  # until the browser has told of the new sizes
    charts = page.locator(".chart")
    narrowest = "(boxes) => Math.min(...boxes.map((box) => box.querySelector('img').clientWidth))"
    assert charts.evaluate_all(narrowest) > 500, "text that can be read"
    unsaid = """(boxes) => boxes
        .filter((box) => box.scrollWidth - box.clientWidth > 1 && getComputedStyle(box).maskImage === 'none')
        .map((box) => box.ariaLabel)"""
    assert page.locator(".wide, .chart, pre").evaluate_all(unsaid) == []
    broad = page.locator(".broad").first
    broad.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
    until_faded = "(box) => new Promise((done) => setTimeout(() => done(box.className), 100))"
    assert broad.evaluate(until_faded).split()[-1] == "more-before"
    box = page.locator(".confusion caption").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_without_a_script_there_is_all_but_the_gallery(browser: Any, page_of_real: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of_real)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("h2").count() == 7
    assert "lie in figures/" in page.locator("noscript").inner_text()
    assert not page.get_by_role("button", name="Copy the command").is_visible()
    context.close()


def test_its_policy_lets_nothing_else_run(open_page: Callable[..., Any], page_of_real: str) -> None:
    injected = page_of_real.replace("</main>", "<script>window.broken = 1</script><p style='color: red'>x</p></main>")
    page = open_page(page_of_real)
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    blocked = page.context.new_page()
    blocked.set_content(injected)
    assert blocked.evaluate("window.broken") is None
    colour = blocked.locator("main > p").last
    assert colour.evaluate("each => getComputedStyle(each).color") != "rgb(255, 0, 0)"


def test_the_numbers_of_the_page_are_those_of_the_run(
    open_page: Callable[..., Any], page_of_real: str, small_run: Run
) -> None:
    page = open_page(page_of_real)
    facts = dict(
        zip(page.locator(".facts dt").all_inner_texts(), page.locator(".facts dd").all_inner_texts(), strict=True)
    )
    assert facts["Test accuracy (95% interval)"].startswith(f"{small_run.accuracy:.2%} (")
    matrix = [[int(text.replace("·", "0")) for text in row.locator("td").all_inner_texts()]
        for row in page.locator(".confusion tbody tr").all()]  # fmt: skip
    assert matrix == small_run.metrics["confusion"]
    data = json.loads(page.locator("#gallery-data").text_content())
    assert [each["id"] for each in data["items"]] == [each["id"] for each in small_run.explained]


def test_only_numbers_with_explained_images_are_links(
    open_page: Callable[..., Any], page_of_real: str, small_run: Run
) -> None:
    page = open_page(page_of_real)
    pairs = {(each["true"], each["predicted"]) for each in small_run.explained}
    assert page.locator(".confusion a").count() == len(pairs)
    listed = page.locator("#triage td a")
    assert listed.count() > 0
    name = listed.first.inner_text()
    listed.first.click()
    assert name in page.locator("dialog[open]").inner_text()


@pytest.fixture(scope="session")
def other_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages that are not the report of a finished run."""
    folder = tmp_path_factory.mktemp("others")
    one, other = (Run(make_run(folder / name, taken)) for name, taken in (("a", "ccccdddffd"), ("b", "dccfdddffd")))
    pages = {"comparison": write_comparison(one, other, folder / "comparison.html").read_text()}
    for stage in ("model", "explain", "judge"):
        pages[f"stopped in {stage}"] = stopped(make_run(folder / stage), stage).write_report().read_text()
    draw = np.random.default_rng(0)
    (folder / "files").mkdir()
    for number in range(4):
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / "files" / f"{number}.png")
    (folder / "files" / "broken.png").write_bytes(b"no picture")
    source = from_model(TINY, ["ant", "bee"], [], random_weights=True, size=(16, 16))
    with open_runtime(RuntimeSettings(device="cpu")) as runtime:
        explain_files(source, [folder / "files"], folder / "out", runtime=runtime, display=Silent())
    return pages | {"explained files": (folder / "out" / "report.html").read_text()}


@pytest.mark.parametrize("which", ["comparison", "stopped in model", "stopped in explain", "stopped in judge",
                                   "explained files"])  # fmt: skip
def test_no_other_page_keeps_anybody_out(
    open_page: Callable[..., Any], other_pages: dict[str, str], which: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(other_pages[which])
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    narrow = open_page(other_pages[which], width=390)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_paper_a_page_without_a_script_is_unfolded_too(
    open_page: Callable[..., Any], other_pages: dict[str, str]
) -> None:
    page = open_page(other_pages["explained files"])
    folded = page.locator("details pre").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.is_visible()
    assert folded.bounding_box()["height"] > 50


def test_a_run_without_explained_images_has_no_link_that_leads_nowhere(
    open_page: Callable[..., Any], other_pages: dict[str, str]
) -> None:
    page = open_page(other_pages["stopped in explain"])
    assert page.locator(".confusion td").count() > 0
    assert page.locator(".confusion a").count() == 0
    assert "leads to its images" not in page.locator("main").inner_text()


def test_a_long_name_and_one_that_turns_round_keep_to_their_place(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    classes = [f"c\u202e{'a' * 300}", "dog", "frog"]
    folder = make_run(tmp_path / "run", "dcccdddfff", classes=classes)
    page = open_page(Run(folder).write_report().read_text())
    assert page.locator(".confusion").bounding_box()["height"] < 500
    assert page.locator(".confusion th").first.locator("span").get_attribute("title") == classes[0]
    assert page.locator(".sentence bdi").inner_text() == classes[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
