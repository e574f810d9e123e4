"""Writing the folder of a new plugin."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from xaitool.component import Kind
from xaitool.component_help import snippet
from xaitool.errors import XaitoolError
from xaitool.files import as_usual
from xaitool.plugins import catalog

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # as packaging standards have it

# The folder of templates that every kind shares; the others are called as their kind.
_COMMON = "common"

# Where each kind's templates have the code that does the work.
_MODULES: dict[Kind, str] = {
    "dataset": "data.py",
    "model": "models.py",
    "scheduler": "schedules.py",
    "explainer": "explainers.py",
    "metric": "metrics.py",
}

# Options that the templates' components cannot do without.
_EXAMPLES: dict[Kind, dict[str, Any]] = {"scheduler": {"max_lr": 0.1}}


def write(name: str, kind: Kind, where: Path) -> Path:
    """Write the plugin `name` into a new folder of that name in `where`, wholly or not at all; returns the folder.

    Raises XaitoolError for a name that cannot be used, and for a folder that is there already or cannot be written.
    """
    folder = where / name
    package = _checked(name, kind)
    if os.path.lexists(folder):
        raise XaitoolError(f"{folder} is there already; choose another name, or another place with --out")
    try:
        where.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{name[:40]}-", dir=where))
        try:
            for path, text in _files(name, package, kind):
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_text(text, encoding="utf-8")
            as_usual(beside, 0o777)
            beside.rename(folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise XaitoolError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def example_recipe(name: str, kind: Kind) -> str:
    """The part of a recipe that uses the new plugin's component."""
    return snippet(kind, name, _EXAMPLES.get(kind, {}))


def _checked(name: str, kind: Kind) -> str:
    """The import name that goes with a distribution's name, if both can be used."""
    if not _DISTRIBUTION.fullmatch(name):
        raise XaitoolError(
            f"'{name}' is no name for a distribution: letters, digits and - _ . only, and neither end a - _ or ."
        )
    package = re.sub(r"[-.]+", "_", name).lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise XaitoolError(f"'{name}' cannot be imported, as '{package}' is no name for a Python module")
    if package == "tests" or package in sys.stdlib_module_names or find_spec(package):
        raise XaitoolError(f"there is a module '{package}' already, which the plugin '{name}' would hide")
    if _is_installed(name):
        raise XaitoolError(f"a distribution '{name}' is installed already; choose another name")
    for offer in catalog().of_kind(kind):
        if offer.component.name == name:
            raise XaitoolError(f"plugin {offer.plugin} offers the {kind} '{name}' already; choose another name")
    return package


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _files(name: str, package: str, kind: Kind) -> Iterator[tuple[str, str]]:
    """Path within the folder and text of each file of the plugin."""
    environment = Environment(
        loader=PackageLoader("xaitool.scaffold"),
        autoescape=select_autoescape(),  # which is for HTML alone; there is none here
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    words = {
        "name": name,
        "package": package,
        "kind": kind,
        "module": _MODULES[kind],
        "recipe": example_recipe(name, kind),
    }
    for template in environment.list_templates(extensions=["jinja"]):
        owner, _, path = template.removesuffix(".jinja").partition("/")
        if owner in (_COMMON, kind):
            yield path.replace("package/", f"{package}/", 1), environment.get_template(template).render(words)
