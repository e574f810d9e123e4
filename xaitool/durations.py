"""How long something took, in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``4.2 s``, ``2 min 4 s``, ``3 h 7 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
