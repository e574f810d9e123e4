"""What a report says, before it has a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FigureItem:
    """A PNG file to be embedded; `alt` says in words what it shows, to those who cannot see it."""

    path: Path
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns, all of them text already."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of a column begins like a number, so that it is set flush right."""
        cells = [row[column].strip().lstrip("+-−") for row in self.rows]
        return bool(cells) and all(cell[:1].isdigit() or cell in ("", "–", "nan") for cell in cells)


@dataclass(frozen=True)
class Section:
    """A chapter: text, terms and what is said of each (a paragraph a line), figures, a table, preformatted text, and
    parts with headings of their own, whichever there are, in this order; `folded`: all but the text appears on a click.
    """

    title: str
    text: str = ""
    figures: Sequence[FigureItem] = ()
    table: Table | None = None
    preformatted: str | None = None
    folded: bool = False
    terms: Sequence[tuple[str, str]] = ()
    parts: Sequence[Section] = ()


@dataclass(frozen=True)
class ReportData:
    """A whole report.

    sentence: the outcome in one line. facts: (label, value) for the head: test accuracy, epochs, device, duration, ….
    created: date and time, as they are to be printed.
    """

    name: str
    created: str
    sentence: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    footer: str = ""
    recipe_title: str = ""
