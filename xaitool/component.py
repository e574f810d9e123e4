"""A component: the record by which a plugin offers a data set, model, scheduler, explainer or metric."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, get_args

Kind = Literal["dataset", "model", "scheduler", "explainer", "metric"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Component:
    """What a plugin's hook returns, once for each thing it offers.

    name: what a recipe says after ``use:``; letters, digits and ``_ + . -``.
    config: ``"package.module:Class"``, a :class:`xaitool.Config` with the component's options.
    factory: ``"package.module:function"``, called with the checked config and, by keyword, what its kind is given
        (see :mod:`xaitool.contracts`).
    summary: one line for lists.
    example: options (JSON types) for a first try; needed where the config has options without a default. ``plugins
        show`` prints a recipe with them, and the conformance kit tries the component with them.

    Both references are strings so that neither is imported before a recipe uses the component: listing plugins stays
    fast, and checking a recipe imports only what checks the options.

    Raises ValueError for a malformed name, reference, summary or example.
    """

    name: str
    config: str
    factory: str
    summary: str = ""
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"component name {self.name!r} is not made of letters, digits and _ + . -")
        for role in ("config", "factory"):
            reference = getattr(self, role)
            if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
                raise ValueError(f"{role} of component {self.name!r} must be 'package.module:attribute'")
        if not isinstance(self.summary, str) or len(self.summary.splitlines()) > 1:
            raise ValueError(f"summary of component {self.name!r} must be one line of text, not {self.summary!r}")
        if not isinstance(self.example, Mapping) or not all(isinstance(key, str) for key in self.example):
            raise ValueError(f"example of component {self.name!r} must be a mapping of options, not {self.example!r}")
        try:
            json.dumps(dict(self.example), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"example of component {self.name!r} must have JSON types only: {error}") from error

    def load_config(self) -> type[Any]:
        """Import and return the config class. Raises TypeError where it is none that recipes can be checked with."""
        from xaitool.config import Config

        found = load(self.config)
        if not (isinstance(found, type) and issubclass(found, Config)):
            raise TypeError(f"{self.config} should be a subclass of xaitool.Config, and is not")
        return found

    def load_factory(self) -> Any:
        """Import and return the factory."""
        return load(self.factory)


def load(reference: str) -> Any:
    """Import ``"package.module:attribute"``."""
    module, _, attribute = reference.partition(":")
    state = random.getstate()  # some libraries draw from the user's generator while they are imported
    try:
        with redirect_stdout(sys.stderr):  # what a module prints is no part of a command's output
            return getattr(import_module(module), attribute)
    finally:
        random.setstate(state)
