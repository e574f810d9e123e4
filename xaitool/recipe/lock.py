"""The lock file: the resolved recipe in YAML, with the versions it was made with."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import yaml

from xaitool.recipe.scalars import resolve

if TYPE_CHECKING:
    from xaitool.recipe.resolve import Resolved
    from xaitool.recipe.schema import Locked

PACKAGES = ("torch", "torchvision", "timm", "albumentations", "grad-cam", "torch-lr-finder", "accelerate", "numpy")


def locked(components: Iterable[Resolved]) -> dict[str, Any]:
    """The section ``locked`` of a lock file."""
    plugins = {each.offer.plugin for each in components}
    return {
        "xaitool": installed("xaitool"),
        "python": platform.python_version(),
        "distributions": {plugin.distribution: plugin.version for plugin in sorted(plugins, key=str)},
        "packages": {package: installed(package) for package in PACKAGES},
    }


def differences(before: Locked, components: Iterable[Resolved]) -> list[str]:
    """What is installed now in another version than when a recipe was locked."""
    now = type(before)(**locked(components))
    then = {"python": before.python, **before.packages, **before.distributions}
    here = {"python": now.python, **now.packages, **now.distributions}
    return [
        f"locked with {name} {version}, running with {here.get(name, 'none')}"
        for name, version in sorted(then.items())
        if here.get(name) != version
    ]


def installed(package: str) -> str:
    """The version of an installed distribution."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def dump(data: dict[str, Any]) -> str:
    """YAML that :mod:`xaitool.recipe.source` reads back as the same data."""
    return yaml.dump(_escaped(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _escaped(value: Any) -> Any:
    """The same with every ``$`` in a value doubled; keys are never substituted."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """PyYAML writes YAML 1.1; strings that 1.2 reads as something else need care."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _is_text(text) else "'"
    if re.search("[\x85\u2028\u2029]", text):  # PyYAML would write them as line breaks, which are read as spaces
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_text(text: str) -> bool:
    """Whether it reads as a text where it stands unquoted."""
    try:
        return isinstance(resolve(text), str)
    except ValueError:  # 1e999, say, which is refused as a number
        return False


_Dumper.add_representer(str, _string)
