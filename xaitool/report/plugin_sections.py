"""The report's sections that plugins add."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

from xaitool.contracts import ReportSection
from xaitool.plugins import Plugin, catalog
from xaitool.report.model import Section

if TYPE_CHECKING:
    from xaitool.results import Run

log = logging.getLogger("xaitool.report")

_HOOK = "xaitool_report_sections"


def plugin_sections(run: Run) -> list[Section]:
    """What every plugin adds; one that fails has its error where its section would be."""
    sections = []
    for plugin, given, error in catalog().gather(_HOOK, run=run):
        sections += [_section(plugin, each) for each in given]
        if error:
            log.error("plugin %s failed in %s", plugin, _HOOK, exc_info=error)
            sections.append(_failed(plugin, f"{type(error).__name__}: {error}"))
    return sections


def _section(plugin: Plugin, given: object) -> Section:
    if not isinstance(given, ReportSection) or not isinstance(given.title, str) or not isinstance(given.html, str):
        log.error("plugin %s gave a %s in %s, not a ReportSection of texts", plugin, type(given).__name__, _HOOK)
        return _failed(plugin, f"it gave a {type(given).__name__} where a ReportSection of texts is needed")
    return Section(given.title, html=safe(given.html))


def _failed(plugin: Plugin, reason: str) -> Section:
    return Section(f"From {plugin.name}", f"The plugin {plugin} could not add its section: {reason}")


def safe(html: str) -> Markup:
    """HTML without scripts, styles, forms and whatever is fetched from elsewhere.

    Links lead where they led; pictures have to be data URIs.
    """
    cleaned = nh3.clean(
        html,
        url_schemes={"http", "https", "mailto", "data"},
        attribute_filter=lambda tag, name, value: value if _harmless(tag, name, value) else None,
    )
    return Markup(cleaned)  # noqa: S704 - cleaned


def _harmless(tag: str, name: str, value: str) -> bool:
    if name in ("src", "href", "cite"):
        return value.startswith("data:image/") == (tag == "img") and not (tag != "img" and value.startswith("data:"))
    return name not in ("id", "style", "class")
