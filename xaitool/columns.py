"""Text in a terminal's columns, of which a Chinese or Japanese character takes two."""

from __future__ import annotations

import textwrap

from rich.cells import cell_len, set_cell_size

# Stands behind each character of two columns while lines are broken, so that lengths are columns.
_FILLER = "\ue000"


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """A text made as wide as a column, flush left or right; a wider one as it is."""
    space = " " * max(0, columns - cell_len(text))
    return space + text if right else text + space


def shorten(text: str, columns: int) -> str:
    """The middle of a long text goes: what tells names apart is often at the end."""
    if cell_len(text) <= columns:
        return text
    tail = (columns - 1) // 2
    return f"{set_cell_size(text, columns - 1 - tail).rstrip()}…{set_cell_size(text[::-1], tail).rstrip()[::-1]}"


def wrap(text: str, columns: int, *, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most so many columns; `first` and `rest` stand at their beginnings. A wide word is broken."""
    lines = textwrap.wrap(
        _filled(text), columns, initial_indent=_filled(first), subsequent_indent=_filled(rest), break_on_hyphens=False
    )
    return [line.replace(_FILLER, "") for line in lines]


def _filled(text: str) -> str:
    return "".join(character + _FILLER * (cell_len(character) - 1) for character in text)
