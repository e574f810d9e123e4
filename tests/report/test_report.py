"""The report: one file, everything in it, nothing unescaped."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xaitool.errors import FolderError
from xaitool.report import FigureItem, ReportData, Section, Table, render

EVIL = """<script>alert(1)</script>"'&"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page(HTMLParser):
    """The page's elements, in order, and its visible text."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

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


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    path = tmp_path / "curves.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture
def report(figure: Path) -> ReportData:
    return ReportData(
        name="resnet18-cifar10",
        recipe_title="ResNet-18 on CIFAR-10",
        created="2025-11-22 09:12",
        sentence="The model is right on 93.2 % of the test images.",
        facts=[("Test accuracy", "93.2 %"), ("Epochs", "20")],
        sections=[
            Section(
                "Data",
                "What it learns from.",
                [FigureItem(figure, "some images", "Some images."), FigureItem(figure, "x")],
            ),
            Section("Training", figures=[FigureItem(figure, "loss and accuracy")]),
            Section("Metrics", table=Table(["name", "value"], [["ABPC", "+0.085"], ["IoU", "–"]], "All metrics")),
            Section("Recipe", preformatted="recipe: 1\n  name: x\n", folded=True),
        ],
        footer="Written by xaitool.",
    )


def test_everything_is_on_the_page_in_order(report):
    page = Page(render(report))
    assert page.text("h1") == ["ResNet-18 on CIFAR-10"]
    assert page.text("h2") == ["Data", "Training", "Metrics", "Recipe"]
    assert page.text("a") == page.text("h2")
    targets = [link["href"] for link in page.all("a")]
    assert targets == [f"#{section['id']}" for section in page.all("section")]
    assert list(zip(page.text("dt"), page.text("dd"), strict=True)) == list(report.facts)
    assert page.text("th") == ["name", "value"]
    assert page.text("td") == ["ABPC", "+0.085", "IoU", "–"]
    assert [cell.get("class") for cell in page.all("td")] == [None, "number", None, "number"]
    assert page.text("caption") == ["All metrics"]
    assert page.text("figcaption") == ["Some images."]
    said = [text for _, text in page.texts]
    for text in (report.name, report.created, report.sentence, "What it learns from.", "Written by xaitool."):
        assert text in said
    assert "recipe: 1\n  name: x\n" in render(report)


def test_only_what_is_folded_is_folded(report):
    html = render(report)
    assert html.count("<details>") == 1
    assert re.search(r"<details>.*recipe: 1.*</details>", html, re.DOTALL)


def test_every_figure_is_embedded_with_its_alternative_text(report):
    images = Page(render(report)).all("img")
    assert [image["alt"] for image in images] == ["some images", "x", "loss and accuracy"]
    for image in images:
        kind, content = (image["src"] or "").split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content) == PNG


def test_the_page_needs_nothing_else(report):
    html = render(report)
    page = Page(html)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[^\"]*", "", html))
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")


def test_the_style_sheet_is_in_it_for_light_dark_phone_and_paper(report):
    (style,) = Page(render(report)).text("style")
    for condition in ("prefers-color-scheme: dark", "max-width: 40rem", "print"):
        assert condition in style
    assert "&#" not in style


def test_every_string_is_escaped(figure):
    evil = ReportData(
        name=EVIL,
        recipe_title=EVIL + "2",
        created=EVIL,
        sentence=EVIL,
        facts=[(EVIL, EVIL)],
        sections=[
            Section(EVIL, EVIL, [FigureItem(figure, EVIL, EVIL)], Table([EVIL], [[EVIL]], EVIL), EVIL),
            Section(EVIL, preformatted=EVIL, folded=True),
        ],
        footer=EVIL,
    )
    html = render(evil)
    assert "<script" not in html
    page = Page(html)
    assert page.all("img")[0]["alt"] == EVIL
    for tag in ("h2", "dt", "dd", "time", "a", "th", "td", "caption", "figcaption", "pre"):
        assert EVIL in page.text(tag), tag
    assert page.text("h1") == [EVIL + "2"]


def test_a_short_report_is_a_page_too():
    page = Page(render(ReportData("name", "today", "Nothing happened.")))
    assert page.text("h1") == ["name"]
    assert not page.all("nav")
    assert not page.all("dl")
    assert not page.all("footer")


def test_a_missing_figure_is_named(tmp_path):
    data = ReportData("n", "c", "s", sections=[Section("t", figures=[FigureItem(tmp_path / "gone.png", "x")])])
    with pytest.raises(FolderError, match=r"gone\.png: the report cannot show this figure: No such file"):
        render(data)


def test_a_figure_that_is_no_png_is_refused(tmp_path):
    (tmp_path / "half.png").write_bytes(b"half")
    data = ReportData("n", "c", "s", sections=[Section("t", figures=[FigureItem(tmp_path / "half.png", "x")])])
    with pytest.raises(FolderError, match="not a PNG"):
        render(data)


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [(["1", "−0.5", "93 %"], True), (["1", "none"], False), ([], False), (["nan", "+1"], True)],
)
def test_a_column_of_numbers_is_recognised(cells, numeric):
    assert Table(["x"], [[cell] for cell in cells]).is_numeric(0) is numeric
