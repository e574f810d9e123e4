"""Specimens from components that stand in a module beside the tests, and which checks they fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xaitool.component import Component, Kind
from xaitool.plugins import Offer, Plugin
from xaitool.testing import CheckError
from xaitool.testing.checks import Check
from xaitool.testing.specimen import Specimen


def planted_specimen(
    kind: Kind, module: str, factory: str, config: str = "Config", name: str = "wrong", **options: Any
) -> Specimen:
    """A specimen of a component that no plugin offers."""
    component = Component(name, config=f"{module}:{config}", factory=f"{module}:{factory}")
    return Specimen(Offer(kind, component, Plugin("wrong/main", "wrong", "0")), options)


def failing(checks: Mapping[str, Check], specimen: Specimen) -> dict[str, str]:
    """The checks that fail, with what they say."""
    found = {}
    for check in checks.values():
        try:
            check.run(specimen)
        except (CheckError, RuntimeError) as error:
            found[check.name] = str(error)
    return found
