"""xaitool trains an image classifier from one recipe, explains its decisions, and says whether they can be trusted.

    import xaitool

    recipe = xaitool.Recipe.load("quickstart")
    run = xaitool.run(recipe, set={"train.epochs": 1})
    run.accuracy, run.maps("gradcam", "predicted"), run.report

Names are imported when they are first used: ``import xaitool`` itself imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaitool.api.explain import explain
    from xaitool.api.explanation import Explanation
    from xaitool.building import build
    from xaitool.component import Component
    from xaitool.config import Config
    from xaitool.contracts import DataBundle, Given, ModelBundle, Probe, ReportSection, Scores, Subject, Tuned
    from xaitool.engine.evaluate import Evaluation, evaluate
    from xaitool.engine.explain import explain as explain_with
    from xaitool.engine.fit import fit
    from xaitool.engine.fitted import Fitted
    from xaitool.engine.progress import Display
    from xaitool.engine.run import resume, run
    from xaitool.engine.runtime import Runtime, open_runtime
    from xaitool.engine.tune import tune
    from xaitool.errors import XaitoolError
    from xaitool.hookspecs import hookimpl
    from xaitool.recipe.resolve import Recipe
    from xaitool.recipe.schema import RuntimeSettings, TrainSettings
    from xaitool.results import Run

_HOMES = {
    "Component": "xaitool.component",
    "Config": "xaitool.config",
    "DataBundle": "xaitool.contracts",
    "Display": "xaitool.engine.progress",
    "Evaluation": "xaitool.engine.evaluate",
    "Explanation": "xaitool.api.explanation",
    "Fitted": "xaitool.engine.fitted",
    "Given": "xaitool.contracts",
    "ModelBundle": "xaitool.contracts",
    "Probe": "xaitool.contracts",
    "Recipe": "xaitool.recipe.resolve",
    "ReportSection": "xaitool.contracts",
    "Run": "xaitool.results",
    "Runtime": "xaitool.engine.runtime",
    "RuntimeSettings": "xaitool.recipe.schema",
    "Scores": "xaitool.contracts",
    "Subject": "xaitool.contracts",
    "TrainSettings": "xaitool.recipe.schema",
    "Tuned": "xaitool.contracts",
    "XaitoolError": "xaitool.errors",
    "build": "xaitool.building",
    "evaluate": "xaitool.engine.evaluate",
    "explain": "xaitool.api.explain",
    "explain_with": "xaitool.engine.explain:explain",
    "fit": "xaitool.engine.fit",
    "hookimpl": "xaitool.hookspecs",
    "open_runtime": "xaitool.engine.runtime",
    "resume": "xaitool.engine.run",
    "run": "xaitool.engine.run",
    "tune": "xaitool.engine.tune",
}

__all__ = [
    "Component",
    "Config",
    "DataBundle",
    "Display",
    "Evaluation",
    "Explanation",
    "Fitted",
    "Given",
    "ModelBundle",
    "Probe",
    "Recipe",
    "ReportSection",
    "Run",
    "Runtime",
    "RuntimeSettings",
    "Scores",
    "Subject",
    "TrainSettings",
    "Tuned",
    "XaitoolError",
    "build",
    "evaluate",
    "explain",
    "explain_with",
    "fit",
    "hookimpl",
    "open_runtime",
    "resume",
    "run",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("xaitool")
    if name not in _HOMES:
        raise AttributeError(f"module 'xaitool' has no attribute '{name}'")
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value  # found without this function next time
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
