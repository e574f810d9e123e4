"""A report as one HTML file that needs nothing else: no network, no file beside it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xaitool.report.model import ReportData

_STYLES = ("style.css", "gallery.css")
_SCRIPTS = ("page.js", "gallery.js")


def render(report: ReportData) -> str:
    """The report as HTML, its figures embedded.

    Its Content-Security-Policy lets the browser run and apply the page's own script and styles, known by their hashes,
    and show embedded pictures; nothing else, and nothing from anywhere else.
    """
    environment = environment_of_templates()
    style, script = (_joined(environment, names) for names in (_STYLES, _SCRIPTS))
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
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
    environment.tests["chart"] = is_chart
    return environment


def embedded(content: bytes) -> str:
    """A PNG or SVG file as a data URI."""
    kind = "image/svg+xml" if is_chart(content) else "image/png"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def is_chart(content: bytes) -> bool:
    """Whether it is an SVG."""
    return not content.startswith(b"\x89PNG\r\n\x1a\n")


def _joined(environment: Environment, names: tuple[str, ...]) -> Markup:
    """The package's own files, the only text that is not escaped."""
    sources = (environment.loader.get_source(environment, name)[0] for name in names)  # type: ignore[union-attr]
    return Markup("\n".join(sources))  # noqa: S704


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
