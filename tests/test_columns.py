"""Text in a terminal's columns, where some characters take two."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from xaitool.columns import pad, shorten, wrap


def test_a_column_is_filled_by_what_is_seen() -> None:
    assert pad("犬", 4) == "犬  "
    assert pad("犬", 4, right=True) == "  犬"
    assert pad("longer", 3) == "longer"


@pytest.mark.parametrize("text", ["a name that is too long", "犬猫鳥魚犬猫鳥魚犬猫鳥魚", "short"])
@pytest.mark.parametrize("columns", [5, 8, 9])
def test_a_long_text_keeps_both_ends(text: str, columns: int) -> None:
    short = shorten(text, columns)
    assert cell_len(short) <= columns
    if cell_len(text) > columns:
        assert short[0] == text[0]
        assert short[-1] == text[-1]
        assert "…" in short
    else:
        assert short == text


def test_lines_are_broken_where_the_screen_ends() -> None:
    words = "犬犬犬 dogs 猫猫猫 cats"
    lines = wrap(words, 12, first="- ", rest="  ")
    assert all(cell_len(line) <= 12 for line in lines)
    assert " ".join(line[2:] for line in lines) == words
    assert lines[0].startswith("- 犬犬犬")
