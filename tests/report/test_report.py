"""The report: one file, everything in it, nothing unescaped."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from xaitool.report.model import FigureItem, ReportData, Section, Table, Thumbnail
from xaitool.report.render import isolated, render

EVIL = """<script>alert(1)</script>"'&"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page(HTMLParser):
    """The page's elements, in order, and its visible text."""

    VOID = frozenset({"meta", "img", "br", "hr", "wbr", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def report() -> ReportData:
    return ReportData(
        name="resnet18-cifar10",
        created="2025-11-22 09:12",
        sentence="The model is right on 93.2% of the test images.",
        facts=[("Test accuracy", "93.2%"), ("Epochs", "20")],
        sections=[
            Section(
                "Data",
                "What it learns from.",
                [FigureItem(PNG, "some images", "Some images."), FigureItem(SVG, "x")],
            ),
            Section("Training", figures=[FigureItem(PNG, "loss and accuracy")]),
            Section("Metrics", table=Table(["name", "value"], [["ABPC", "+0.085"], ["IoU", "–"]], "All metrics")),
            Section("Recipe", preformatted="recipe: 1\n  name: x\n", folded=True, name="recipe"),
        ],
        footer="Written by xaitool.",
        warnings=["The model uses a shortcut."],
        thumbnails=[Thumbnail(PNG, "cat taken for dog", "#gallery&image=7", 32)],
        commit="abc1234567",
    )


def test_names_of_layers_are_broken_at_their_dots_and_numbers_nowhere(report):
    html = render(replace(report, facts=[*report.facts, ("gradcam looks at", "blocks.11.norm1 <b>")]))
    assert "<dd>blocks.<wbr>11.<wbr>norm1 &lt;b&gt;</dd>" in html
    assert "<dd>93.2%</dd>" in html


def test_everything_is_on_the_page_in_order(report):
    page = Page(render(report))
    assert page.text("h1") == ["resnet18-cifar10"]
    assert page.text("h2") == ["Data", "Training", "Metrics", "Recipe"]
    assert page.text("a")[1:] == page.text("h2")
    targets = [link["href"] for link in page.all("a")]
    sections = [f"#{section['id']}" for section in page.all("section")]
    assert targets == ["#content", "#gallery&image=7", *sections]
    assert sections[-1] == "#recipe"
    assert page.text("li")[0] == "The model uses a shortcut."
    assert list(zip(page.text("dt"), page.text("dd"), strict=True)) == list(report.facts)
    assert page.text("th") == ["name", "value"]
    assert page.text("td") == ["ABPC", "+0.085", "IoU", "–"]
    assert [cell.get("class") for cell in page.all("td")] == [None, "number", None, "number"]
    assert page.text("caption") == ["All metrics"]
    assert page.text("figcaption") == ["Some images."]
    said = [text for _, text in page.texts]
    assert "· commit abc1234567" in said
    for text in (report.name, report.created, report.sentence, "What it learns from.", "Written by xaitool."):
        assert text in said
    assert "recipe: 1\n  name: x\n" in render(report)


def test_only_what_is_folded_is_folded(report):
    html = render(report)
    assert html.count("<details>") == 1
    assert re.search(r"<details>.*recipe: 1.*</details>", html, re.DOTALL)


def test_every_figure_is_embedded_with_its_alternative_text(report):
    images = Page(render(report)).all("img")
    assert [image["alt"] for image in images] == ["cat taken for dog", "some images", "x", "loss and accuracy"]
    for image in images:
        kind, content = (image["src"] or "").split(",")
        chart = image["alt"] == "x"
        assert kind == ("data:image/svg+xml;base64" if chart else "data:image/png;base64")
        assert base64.b64decode(content) == (SVG if chart else PNG)
    boxes = [box["class"] for box in Page(render(report)).all("div") if box.get("aria-label", "").startswith("Figure")]  # type: ignore[union-attr]
    assert boxes == ["picture", "chart", "picture"]


def digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_the_page_needs_nothing_else_and_lets_nothing_else_in(report):
    html = render(report)
    page = Page(html)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.S)
    assert policy == (
        f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.elements}
    outside = re.sub(r"base64,[^\"]*", "", html.replace(script, ""))
    assert not re.search(r"https?:|url\(|@import|//[a-z]", outside)
    assert set(re.findall(r"https?://[^\"]+", script)) == {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")


def test_the_style_sheet_is_in_it_for_light_dark_phone_and_paper(report):
    (style,) = Page(render(report)).text("style")
    for condition in ("prefers-color-scheme: dark", "max-width: 40rem", "print"):
        assert condition in style
    assert "&#" not in style


def test_every_string_is_escaped():
    evil = ReportData(
        name=EVIL,
        warnings=[EVIL],
        thumbnails=[Thumbnail(PNG, EVIL, f"#{EVIL}", 8)],
        commit=EVIL,
        created=EVIL,
        sentence=EVIL,
        facts=[(EVIL, EVIL)],
        sections=[
            Section(EVIL, EVIL, [FigureItem(PNG, EVIL, EVIL)], Table([EVIL], [[EVIL]], EVIL), EVIL),
            Section(EVIL, preformatted=EVIL, folded=True),
        ],
        footer=EVIL,
    )
    html = render(evil)
    assert "<script>alert" not in html
    page = Page(html)
    assert [image["alt"] for image in page.all("img")] == [EVIL, EVIL]
    assert page.all("a")[1]["href"] == f"#{EVIL}"
    for tag in ("h1", "h2", "li", "dt", "dd", "time", "a", "th", "td", "caption", "figcaption", "pre"):
        assert EVIL in page.text(tag), tag


def test_a_short_report_is_a_page_too():
    page = Page(render(ReportData("name", "today", "Nothing happened.")))
    assert page.text("h1") == ["name"]
    assert not page.all("nav")
    assert not page.all("dl")
    assert not page.all("footer")


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["1", "−0.5", "93%"], True),
        (["2 min 04 s", "+0.1 to +0.2"], True),
        (["23 November"], False),
        (["1 of 2"], False),
        (["1", "none"], False),
        ([], False),
        (["nan", "+1"], True),
    ],
)
def test_a_column_of_numbers_is_recognised(cells, numeric):
    assert Table(["x"], [[cell] for cell in cells]).is_numeric(0) is numeric


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("“cat” for “dog” (5)", "“cat” for “dog” (5)"),
        ("“שלום” for “dog” (5)", "“<bdi>שלום</bdi>” for “dog” (5)"),
        ("“c\u202et” & 5", "“<bdi>c\u202et</bdi>” &amp; 5"),
        ("c\u202et taken for “<b>", "cU+202Et taken for “&lt;b&gt;"),
        ("", ""),
    ],
)
def test_a_name_that_is_written_from_right_to_left_turns_nothing_else_round(text, html):
    assert str(isolated(text)) == html
