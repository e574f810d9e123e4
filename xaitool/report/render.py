"""A report as one HTML file that needs nothing else: no network, no file beside it."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from itertools import zip_longest
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xaitool.report.model import ReportData

MOST: Final = 25_000_000  # bytes of a page that still goes by mail; its gallery gives way first
GALLERY: Final = 64_000  # bytes: more than a gallery takes besides pictures, maps and what is said of them

_LONGEST: Final = 44  # characters of a word in a table that is not broken: those of a commit are 40

_STYLES = ("style.css", "gallery.css")
_SCRIPTS = ("page.js", "gallery.js")


def render(report: ReportData, *, scripted: bool = True) -> str:
    """The report as HTML, its figures embedded; scripted: whether it has anything that takes a script.

    Its Content-Security-Policy lets the browser run and apply the page's own script and styles, known by their hashes,
    and show embedded pictures; nothing else, and nothing from anywhere else.
    """
    environment = environment_of_templates()
    style, script = (_joined(environment, names) for names in (_STYLES, _SCRIPTS if scripted else ()))
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'" if script else "script-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return environment.get_template("template.html").render(report=report, style=style, script=script, policy=policy)


def part(template: str, **values: Any) -> Markup:
    """A part of the page that has a template of its own."""
    return Markup(environment_of_templates().get_template(template).render(**values))  # noqa: S704 - it escapes


def environment_of_templates() -> Environment:
    """Where the templates are; whatever is put into them is escaped."""
    environment = Environment(
        loader=PackageLoader("xaitool.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    environment.filters["isolated"] = isolated
    environment.filters["parted"] = parted
    environment.filters["size"] = size_of
    environment.tests["chart"] = is_chart
    environment.tests["long"] = is_long
    return environment


def embedded(content: bytes) -> str:
    """A PNG or SVG file as a data URI."""
    kind = "image/svg+xml" if is_chart(content) else "image/png"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def is_chart(content: bytes) -> bool:
    """Whether it is an SVG."""
    return not content.startswith(b"\x89PNG\r\n\x1a\n")


def isolated(text: str) -> Markup:
    """A sentence in which a “name” that is not written from left to right keeps its direction to itself.

    A class may have an Arabic name, or one with a character that turns round what follows it. Outside of quotation
    marks such characters are written as what they are: ``U+202E``.
    """
    parts = _QUOTED.split(text)  # what is between the names stands at even places
    named = [Markup("<bdi>{}</bdi>").format(part) if _turns(part) else escape(part) for part in parts[1::2]]
    between = [escape(_TURNING.sub(lambda found: f"U+{ord(found[0]):04X}", part)) for part in parts[::2]]
    return Markup().join(part for pair in zip_longest(between, named, fillvalue=Markup()) for part in pair)


def parted(text: str) -> Markup:
    """A text in which names of modules (``blocks.11.norm1``) may be broken after a dot, and numbers may not."""
    return Markup("<wbr>").join(_DOTTED.split(text))


def _turns(name: str) -> bool:
    return any(unicodedata.bidirectional(each) in ("R", "AL", "AN") or _TURNING.match(each) for each in name)


# After the dots of a name.
_DOTTED = re.compile(r"(?<=[A-Za-z_]\.)(?=\w)|(?<=\w\.)(?=[A-Za-z_])")
_QUOTED = re.compile(r"(?<=“)([^“”]+)(?=”)")
# Characters that set the direction of what follows them: embeddings, overrides and isolates.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG or SVG file in a browser's pixels; (0, 0) where an SVG does not say."""
    if not is_chart(content):
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    found = re.search(rb'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', content)
    if not found:
        return 0, 0
    width, height = (round(float(points) * 96 / 72) for points in found.groups())
    return width, height


def is_long(cell: str) -> bool:
    """Whether a table's cell has a word that no column is wide enough for."""
    text = cell.striptags() if isinstance(cell, Markup) else cell
    return any(len(word) > _LONGEST for word in text.split())


def _joined(environment: Environment, names: tuple[str, ...]) -> Markup:
    """The package's own files, the only text that is not escaped."""
    sources = (environment.loader.get_source(environment, name)[0] for name in names)  # type: ignore[union-attr]
    return Markup("\n".join(sources))  # noqa: S704


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
