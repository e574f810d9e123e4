"""The report's sections that plugins add."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import nh3
from markupsafe import Markup

from xaitool.contracts import ReportSection
from xaitool.plugins import Plugin, catalog
from xaitool.report.model import Section

if TYPE_CHECKING:
    from xaitool.results import Run

log = logging.getLogger("xaitool.report")

_HOOK = "xaitool_report_sections"
_MOST: Final = 4_000_000  # bytes that the sections of all plugins may take: the page has to go by mail


def plugin_sections(run: Run) -> list[Section]:
    """What every plugin adds; one that fails has its error where its section would be."""
    sections, room = [], _MOST
    for plugin, given, error in catalog().gather(_HOOK, run=run):
        for each in given:
            section = _section(plugin, each)
            takes = len(section.html.encode(errors="replace"))
            if takes > room:
                section = _too_large(plugin, section.title, takes)
                log.error("%s: %s", section.title, section.text)
            else:
                room -= takes
            sections.append(section)
        if error:
            log.error("plugin %s failed in %s", plugin, _HOOK, exc_info=error)
            sections.append(_failed(plugin, f"{type(error).__name__}: {error}"))
    return sections


def _section(plugin: Plugin, given: object) -> Section:
    if not isinstance(given, ReportSection) or not isinstance(given.title, str) or not isinstance(given.html, str):
        log.error("plugin %s gave a %s in %s, not a ReportSection of texts", plugin, type(given).__name__, _HOOK)
        return _failed(plugin, f"it gave a {type(given).__name__} where a ReportSection of texts is needed")
    return Section(given.title, html=safe(given.html))


def _too_large(plugin: Plugin, title: str, takes: int) -> Section:
    return Section(
        title,
        f"The plugin {plugin} has written {takes / 1e6:.1f} MB here. That is left out: the sections of all plugins may "
        f"take {_MOST / 1e6:.0f} MB, so that the page can be sent by mail.",
    )


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
    return Markup(_IMAGE.sub(_with_alt, cleaned))  # noqa: S704 - cleaned


# A picture as the cleaner writes it: every value in double quotes, in which those of the value's own are escaped.
_IMAGE = re.compile(r'<img((?: [^\s="<>]+="[^"]*")*)>')


def _with_alt(image: re.Match[str]) -> str:
    """A picture that its author says nothing of is one that is passed over when the page is read aloud."""
    named = re.findall(r' ([^\s="<>]+)="[^"]*"', image[1])
    return image[0] if "alt" in named else f'<img{image[1]} alt="">'


def _harmless(tag: str, name: str, value: str) -> bool:
    if name in ("src", "href", "cite"):
        # As a browser reads an address: blanks and control characters before and in its scheme count for nothing.
        address = re.sub(r"[\x00-\x20]", "", value).lower()
        return address.startswith("data:image/") if tag == "img" else not address.startswith("data:")
    return name not in ("id", "style", "class")
