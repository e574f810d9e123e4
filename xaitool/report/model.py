"""What a report says, before it has a look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

# What makes a text of something that begins with a digit: a date, ``17 of 20``.
_WORDS = re.compile(r"[^\W\d_]{4,}| of ")


@dataclass(frozen=True)
class FigureItem:
    """A picture, the content of a PNG or SVG file; `alt` says in words what it shows, to those who cannot see it.

    An SVG is a chart: it lies on nothing, so that it fits a dark page too.
    """

    content: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns, all of them text already; a cell with a link in it is Markup."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of a column is a number, with its unit perhaps, so that it is set flush right."""
        cells = [row[column].strip().lstrip("+-−") for row in self.rows]
        return bool(cells) and all(
            (cell[:1].isdigit() and not _WORDS.search(cell)) or cell in ("", "–", "nan") for cell in cells
        )


@dataclass(frozen=True)
class Section:
    """A chapter: text, terms and what is said of each (a paragraph a line), figures, a table, preformatted text, HTML
    that is safe as it stands, and parts with headings of their own, whichever there are, in this order; `folded`: all
    but the text appears on a click. name: of the chapter in links (``#name``), where it has to be known.
    """

    title: str
    text: str = ""
    figures: Sequence[FigureItem] = ()
    table: Table | None = None
    preformatted: str | None = None
    folded: bool = False
    terms: Sequence[tuple[str, str]] = ()
    html: Markup = Markup()  # noqa: RUF009 - it never changes
    parts: Sequence[Section] = ()
    name: str = ""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture in the head: the content of a PNG file, what it shows, and the place in the page it leads to."""

    content: bytes
    alt: str
    link: str
    side: int


@dataclass(frozen=True)
class ReportData:
    """A whole report.

    sentence: the outcome in one line. good_news: what was looked for and is not there.
    warnings: what a reader should know before he believes it. facts: (label, value)
    for the head: test accuracy, epochs, duration, …. created: date and time, as they are to be printed. device: what
    it ran on. commit: of the repository that the run was started in, if any.
    """

    name: str
    created: str
    sentence: str
    facts: Sequence[tuple[str, str]] = ()
    good_news: Sequence[str] = ()
    warnings: Sequence[str] = ()
    thumbnails: Sequence[Thumbnail] = ()
    sections: Sequence[Section] = ()
    footer: str = ""
    device: str = ""
    commit: str = ""
