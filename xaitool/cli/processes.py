"""Of several processes that were started together, the main one speaks."""

from __future__ import annotations

import os

from xaitool.characters import harmless
from xaitool.errors import LeftBehindError, RecipeError, XaitoolError


def rank() -> int:
    """The number of this process; 0 is the main one, and any that was started by itself."""
    return int(os.environ.get("RANK", "0")) if os.environ.get("WORLD_SIZE", "1") != "1" else 0


def told(error: XaitoolError) -> str | None:
    """What this process has to say of an error; None where the main one says the same."""
    text = harmless(str(error))
    words = f"error: {text}" if "\n" not in text else f"error:\n{text}"
    if rank() == 0:
        return words
    return None if isinstance(error, RecipeError | LeftBehindError) else f"process {rank()}: {words}"
