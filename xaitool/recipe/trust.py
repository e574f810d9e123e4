"""May a recipe name Python code to be executed? A recipe is a file one is sent; code in it could do anything."""

from __future__ import annotations

import os
from pathlib import Path

from xaitool.recipe.source import Source

TRUSTED_FOLDERS = "XAITOOL_TRUSTED_FOLDERS"

REFUSAL = (
    "this is Python code that would be executed, and this recipe is not trusted; look at the code, and then run with "
    f"--allow-code (in Python: allow_code=True), or name the recipe's folder, as an absolute path, in {TRUSTED_FOLDERS}"
)


# Of code that a command or a program names itself, outside any recipe.
NOT_ALLOWED = (
    "this is Python code that would be executed; look at the code, and then run with --allow-code (in Python: "
    "allow_code=True)"
)


def trusted(source: Source) -> bool:
    """Whether the user allows code, or the recipe lies in or below one of the trusted folders, which are absolute."""
    if source.allow_code:
        return True
    if source.folder is None:
        return False
    named = [Path(each).expanduser() for each in source.environment.get(TRUSTED_FOLDERS, "").split(os.pathsep) if each]
    here = source.folder.resolve()
    return any(here.is_relative_to(folder.resolve()) for folder in named if folder.is_absolute())
