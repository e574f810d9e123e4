"""A report as one HTML file that needs nothing else: no script, no network, no file beside it."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xaitool.errors import FolderError
from xaitool.report.model import ReportData


def render(report: ReportData) -> str:
    """The report as HTML, its figures embedded. Raises FolderError where a figure's file is missing or not a PNG."""
    environment = Environment(
        loader=PackageLoader("xaitool.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = _embedded
    # The style sheet is ours: the only text that is not escaped.
    css = Markup(environment.loader.get_source(environment, "style.css")[0])  # type: ignore[union-attr]  # noqa: S704
    return environment.get_template("template.html").render(report=report, css=css)


def _embedded(path: Path) -> str:
    """A PNG file as a data URI."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FolderError(f"{path}: the report cannot show this figure: {error.strerror or error}") from error
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise FolderError(f"{path}: the report cannot show this figure: it is not a PNG file")
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
