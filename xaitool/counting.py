"""How many of what, in words."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number:,} {what}{'s' * (number != 1)}"
