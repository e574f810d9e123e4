"""From a recipe's text to one that can run: every default filled in, every component found, its options checked."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from xaitool.component import Kind
from xaitool.errors import ComponentError, Problem, RecipeError
from xaitool.plugins import Catalog, Offer, catalog
from xaitool.recipe import library
from xaitool.recipe.document import Keys, dotted
from xaitool.recipe.lock import dump, locked
from xaitool.recipe.schema import USUAL_METRICS, Settings, SmoothSettings
from xaitool.recipe.source import Source, override, override_values, parse, read
from xaitool.recipe.validate import validate

# Kinds of which a recipe may use several, each with a label of its own (``as``).
LABELLED: tuple[Kind, ...] = ("explainer", "metric")

# What the recipe itself says of a component; all else are the component's options.
OWN_KEYS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("use",),
    "model": ("use",),
    "scheduler": ("use",),
    "explainer": ("use", "as", "smooth"),
    "metric": ("use", "as"),
}


@dataclass(frozen=True)
class Resolved:
    """A component that a recipe uses: where it comes from, its checked options, and what the recipe calls it.

    smooth: how an explainer's maps are to be smoothed.
    """

    offer: Offer
    config: BaseModel
    label: str
    smooth: SmoothSettings | None = None

    def build(self, stage: str, **given: Any) -> Any:
        """Call the component's factory; its failures are reported as the plugin's."""
        return self.offer.build(self.config, stage, **given)

    def as_recipe(self) -> dict[str, Any]:
        """As a lock file has it: by full name, with every option."""
        smooth = {"smooth": self.smooth.model_dump(mode="json")} if self.smooth else {}
        return {"use": self.offer.full_name, **smooth, **self.config.model_dump(mode="json", by_alias=True)}


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. Make one with :meth:`load`, :meth:`parse` or :meth:`with_set`."""

    source: Source
    settings: Settings
    dataset: Resolved
    model: Resolved
    scheduler: Resolved | None
    explainers: tuple[Resolved, ...]
    metrics: tuple[Resolved, ...]

    @classmethod
    def load(
        cls, recipe: str | Path, set: Mapping[str, Any] | Sequence[str] = (), *, allow_code: bool = False
    ) -> Recipe:
        """Read a recipe from a file, or from those that come with xaitool by name (``"quickstart"``).

        set: changes, as ``{"train.epochs": 1}`` or ``["train.epochs=1"]``.
        allow_code: whether it may name Python code to be executed (the model ``python`` does).
        Raises RecipeError with everything that is wrong.
        """
        path = library.locate(recipe)
        source = read(path, allow_code=allow_code)
        if library.holds(path):  # its relative paths are the user's, not those of where xaitool is installed
            source = replace(source, folder=None)
        return resolve(_changed(source, set))

    @classmethod
    def parse(cls, text: str, name: str = "<recipe>", *, allow_code: bool = False) -> Recipe:
        """Check a recipe given as YAML text; relative paths start from the working folder. Raises RecipeError."""
        return resolve(replace(parse(text, name, os.environ), allow_code=allow_code))

    def with_set(self, set: Mapping[str, Any] | Sequence[str]) -> Recipe:
        """The recipe with some changes, checked again. Raises RecipeError."""
        return resolve(_changed(self.source, set)) if set else self

    @property
    def components(self) -> tuple[Resolved, ...]:
        """All components in use."""
        schedulers = (self.scheduler,) if self.scheduler else ()
        return (self.dataset, self.model, *schedulers, *self.explainers, *self.metrics)

    def resolved(self) -> dict[str, Any]:
        """The whole recipe as plain data, every default filled in and every component by its full name."""
        settings = self.settings.model_dump(mode="json", by_alias=True)
        settings["dataset"] = self.dataset.as_recipe()
        settings["model"] = self.model.as_recipe()
        if self.scheduler:
            settings["train"]["scheduler"] = self.scheduler.as_recipe()
        settings["explain"]["methods"] = [{"as": each.label, **each.as_recipe()} for each in self.explainers]
        settings["explain"]["metrics"] = [{"as": each.label, **each.as_recipe()} for each in self.metrics]
        settings["locked"] = locked(self.components)
        return settings

    def to_yaml(self) -> str:
        """The resolved recipe as YAML, which runs as it stands."""
        return dump(self.resolved())


def _changed(source: Source, set: Mapping[str, Any] | Sequence[str]) -> Source:
    return override_values(source, set) if isinstance(set, Mapping) else override(source, set)


def resolve(source: Source) -> Recipe:
    """Check everything a recipe says. Raises RecipeError with all problems, in the order of the file."""
    offers = catalog()
    settings, problems = validate(Settings, source.data, source)
    found: dict[str, list[Resolved]] = {"dataset": [], "model": [], "scheduler": [], "explainer": [], "metric": []}
    labels: dict[Kind, dict[str, Keys]] = {kind: {} for kind in LABELLED}
    for kind, path, ref in _slots(source.data):
        resolved, wrong = _component(offers, kind, path, ref, source)
        problems += wrong
        if resolved and kind in LABELLED:
            problems += _repeated(resolved.label, labels[kind], path, source)
        if resolved:
            found[kind].append(resolved)
    if problems or settings is None:
        raise RecipeError(_in_order(problems, source))
    return Recipe(
        source,
        settings,
        found["dataset"][0],
        found["model"][0],
        found["scheduler"][0] if found["scheduler"] else None,
        tuple(
            replace(explainer, smooth=ref.smooth)
            for explainer, ref in zip(found["explainer"], settings.explain.methods, strict=True)
        ),
        tuple(found["metric"]),
    )


def _slots(data: dict[str, Any]) -> Iterator[tuple[Kind, Keys, dict[str, Any]]]:
    """Every place where a recipe names a component, as far as it is well formed: kind, path and what stands there."""
    train, explain = data.get("train"), data.get("explain")
    singles: list[tuple[Kind, tuple[str, ...], Any]] = [
        ("dataset", ("dataset",), data.get("dataset")),
        ("model", ("model",), data.get("model")),
        ("scheduler", ("train", "scheduler"), train.get("scheduler") if isinstance(train, dict) else None),
    ]
    lists: list[tuple[Kind, str, list[str]]] = [
        ("explainer", "methods", []),
        ("metric", "metrics", list(USUAL_METRICS)),
    ]
    slots: list[tuple[Kind, Keys, Any]] = [*singles]
    for kind, key, usual in lists:
        items = explain.get(key, usual) if isinstance(explain, dict) else usual
        if isinstance(items, list):
            slots += [(kind, ("explain", key, index), item) for index, item in enumerate(items)]
    for kind, path, item in slots:
        ref = {"use": item} if isinstance(item, str) else item
        if isinstance(ref, dict) and isinstance(ref.get("use"), str) and ref["use"]:
            yield kind, path, ref


def _component(
    offers: Catalog, kind: Kind, path: Keys, ref: dict[str, Any], source: Source
) -> tuple[Resolved | None, list[Problem]]:
    options = {key: value for key, value in ref.items() if key not in OWN_KEYS[kind]}
    try:
        offer = offers.find(kind, ref["use"])
    except ComponentError as error:
        key = (*path, "use")
        return None, [Problem(source.where_value(key), dotted(key), str(error))]
    with offer.blamed("the recipe check"):
        model = offer.component.load_config()
        config, problems = validate(model, options, source, path)
    label = ref.get("as") if kind in LABELLED else None
    resolved = Resolved(offer, config, str(label or offer.component.name)) if config else None
    return resolved, problems


def _repeated(label: str, labels: dict[str, Keys], path: Keys, source: Source) -> list[Problem]:
    """A complaint where an explainer has the label of an earlier one; `labels` remembers where each was seen."""
    first = labels.setdefault(label, path)
    if first == path:
        return []
    message = f"another one is '{label}' already ({source.where(first)}); tell them apart with "
    return [Problem(source.where(path), dotted(path), f"{message}as: {label}-2")]


def _in_order(problems: Sequence[Problem], source: Source) -> list[Problem]:
    """By line and column; those of overrides, which stand in no line, come last, as they were."""

    def place(problem: Problem) -> tuple[float, ...]:
        line_and_column = re.fullmatch(re.escape(source.name) + ":([0-9]+):([0-9]+)", problem.where)
        return tuple(map(float, line_and_column.groups())) if line_and_column else (math.inf,)

    return sorted(problems, key=place)
