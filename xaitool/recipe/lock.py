"""The lock file: the resolved recipe in YAML, with the versions it was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import yaml

from xaitool.recipe.scalars import resolve

if TYPE_CHECKING:
    from xaitool.recipe.resolve import Resolved

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


def installed(package: str) -> str:
    """The version of an installed distribution."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def dump(data: dict[str, Any]) -> str:
    """YAML that :mod:`xaitool.recipe.source` reads back as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """PyYAML writes YAML 1.1; strings that 1.2 reads as something else, or that hold a ``$``, need care."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text.replace("$", "$$"), style=style)


_Dumper.add_representer(str, _string)
