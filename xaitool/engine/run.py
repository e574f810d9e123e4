"""One run, told from recipe to report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xaitool.contracts import ModelBundle
from xaitool.engine.folder import RunFolder
from xaitool.engine.journal import Journal
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import kept
from xaitool.engine.runtime import open_runtime
from xaitool.engine.stages import Stages
from xaitool.recipe.resolve import Recipe
from xaitool.results import Run


def run(
    recipe: Recipe | str | Path,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path = "runs",
    display: Display | None = None,
) -> Run:
    """Train, evaluate and explain as the recipe says; all that happens is in the folder of the run that is returned.

    recipe: a checked one, or what :meth:`xaitool.Recipe.load` takes: a file, or a name such as ``"quickstart"``.
    set: changes to the recipe, as ``{"train.epochs": 1}`` or ``["train.epochs=1"]``. out: where run folders are made.
    display: what a person sees meanwhile (``xaitool.Display()`` for the terminal); left out: nothing.
    The process is left as it was: random state, threads, working folder.
    Raises an XaitoolError that says what is wrong; before training where it can be known then.
    """
    recipe = recipe.with_set(set) if isinstance(recipe, Recipe) else Recipe.load(recipe, set)
    display = display or Silent()
    with open_runtime(recipe.settings.runtime) as runtime, kept():
        folder = RunFolder.create(Path(out), recipe.settings.name)
        journal = Journal(folder, display, recipe.settings.name)
        with folder.logging(), display.relaying(), journal.told(recipe.resolved()):
            model = _story(Stages(recipe, folder, journal, runtime, display))
    return Run(folder.path, model)


def _story(stages: Stages) -> ModelBundle:
    stages.begin()
    data = stages.load_data()
    model, explainers, metrics = stages.build_model(data)
    training, component = stages.settings.train, stages.recipe.scheduler
    if training is not None and component is not None:
        scheduler, tuned = stages.tune(model, data, training, component)
        stages.fit(model, data, training, scheduler, tuned)
    else:
        stages.as_it_is(model)
    evaluation = stages.evaluate(model, data)
    explaining = stages.explaining(model, data, evaluation, metrics)
    explainers, choices = explaining.choose(explainers)
    explained = explaining.explain(explainers)
    judged = explaining.judge(explainers, choices, explained)
    explaining.curves(explained)
    explaining.shortcut(explainers, explained)
    explaining.triage(explainers, explained)
    stages.report(data)
    stages.end(judged, explaining.told_failures())
    return model
