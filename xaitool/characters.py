"""Characters that are not there to be seen, from names that others have given: a terminal obeys some of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

# What ends a line, or is none that can be seen.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# The same, but for those that text of several lines has, and with those that turn its direction round.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(name: str | Path) -> str:
    r"""A file's name as text on one line: bytes that are no UTF-8 become ``\xNN``, control characters ``\r`` or so."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(_spelt, text)


def harmless(text: str) -> str:
    r"""Text of any number of lines as a terminal may have it: an escape character becomes ``\x1b``, and so on."""
    return _COMMANDS.sub(_spelt, text)


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
