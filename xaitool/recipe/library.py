"""The recipes that come with xaitool."""

from __future__ import annotations

from pathlib import Path

from xaitool.errors import Problem, RecipeError
from xaitool.suggest import did_you_mean

# In the wheel they lie inside the package; in a checkout, beside it.
_PLACES = (Path(__file__).parent.parent / "recipes", Path(__file__).parent.parent.parent / "recipes")


def names() -> list[str]:
    """Their names, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def locate(recipe: str | Path) -> Path:
    """The file that a user means: a path, or the name of one that comes with xaitool. Raises RecipeError."""
    path = Path(recipe)
    known = names()
    try:
        if isinstance(recipe, Path) or path.is_file():
            return path
        if recipe in known:  # also where a folder is called that, as that of its runs may be
            return _folder() / f"{recipe}.yaml"
        if path.exists():
            return path
    except OSError:  # a name too long, a folder that may not be looked into: reading it will say so
        return path
    hint = did_you_mean(recipe, known) or f"; xaitool comes with {', '.join(known)}"
    raise RecipeError([Problem(recipe, "", f"there is no such file, and no recipe of this name{hint}")])


def _folder() -> Path:
    return next((place for place in _PLACES if place.is_dir()), _PLACES[0])


def holds(path: Path) -> bool:
    """Whether the file is one of those that come with xaitool."""
    return path.absolute().parent == _folder()


def headline(name: str) -> str:
    """What a recipe's first comment line says."""
    first = (_folder() / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
