"""One run, told from recipe to report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from xaitool.contracts import ModelBundle
from xaitool.engine.checkpoint import PLACE
from xaitool.engine.finished import Finished
from xaitool.engine.folder import OthersFolder, RunFolder
from xaitool.engine.journal import Journal, OthersJournal
from xaitool.engine.placed import placed
from xaitool.engine.processes import Processes, joined
from xaitool.engine.progress import Display, Silent
from xaitool.engine.randomness import kept
from xaitool.engine.resume import Reopened, journal_of, reopen
from xaitool.engine.runtime import Runtime, open_runtime
from xaitool.engine.stages import Stages
from xaitool.errors import DeviceError
from xaitool.recipe.resolve import Recipe
from xaitool.results import Run
from xaitool.summary import Summary


def run(
    recipe: Recipe | str | Path,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path = "runs",
    allow_code: bool = False,
    display: Display | None = None,
) -> Run:
    """Train, evaluate and explain as the recipe says; all that happens is in the folder of the run that is returned.

    recipe: a checked one, or what :meth:`xaitool.Recipe.load` takes: a file, or a name such as ``"quickstart"``.
    set: changes to the recipe, as ``{"train.epochs": 1}`` or ``["train.epochs=1"]``. out: where run folders are made.
    allow_code: as for :meth:`xaitool.Recipe.load`; a recipe that is checked already has been allowed it, or not, then.
    display: what a person sees meanwhile (``xaitool.Display()`` for the terminal); left out: nothing.
    The process is left as it was: random state, threads, working folder. Called in each of several processes that
    torchrun or `accelerate launch` has started, it is one run of them all (docs/scaling.md).
    Raises an XaitoolError that says what is wrong; before training where it can be known then. What is interrupted,
    :func:`resume` goes on with.
    """
    recipe = recipe.with_set(set) if isinstance(recipe, Recipe) else Recipe.load(recipe, set, allow_code=allow_code)
    with joined() as processes, open_runtime(recipe.settings.runtime, processes) as runtime, kept():
        check_compiling(recipe, processes)
        path = processes.from_main(lambda: RunFolder.create(Path(out), recipe.settings.name).path)
        folder = _folder(path, processes)
        with folder.held():
            folder.write_text("recipe.yaml", recipe.source.text)
            folder.write_text("recipe.lock.yaml", recipe.to_yaml())
            return _carried_out(recipe, folder, runtime, _display(display, processes))


def resume(
    run: str | Path | Run,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    allow_code: bool = False,
    force: bool = False,
    display: Display | None = None,
) -> Run:
    """Go on with a run that was interrupted, from its folder; stages that were finished are not done again.

    On a CPU, with as many threads, the end is the same bit for bit as that of a run that was never stopped. A finished
    run is returned as it is. set, display: as for :func:`run`. allow_code: as for :meth:`xaitool.Recipe.load`.
    force: go on although the recipe, or the version of a plugin or library, is another now: what a changed recipe has
    no part in is kept, all else is done again.
    Raises FolderError where the folder is not a run's, is of another version of xaitool, or is in another process's
    hands; and where something has changed, without `force`, saying what.
    """
    path = (run.folder if isinstance(run, Run) else Path(run)).expanduser().absolute()
    with joined() as processes, ExitStack() as holding:
        folder, display = _folder(path, processes), _display(display, processes)
        journal_of(folder)  # before anything is written into what may be no run's folder
        folder.check_links()

        def opened() -> Reopened | None:
            holding.enter_context(folder.held())
            return reopen(folder, set, allow_code=allow_code, force=force, warn=display.warn)

        def recipe() -> Recipe:
            return Recipe.load(path / "recipe.lock.yaml", allow_code=allow_code).with_set(set)

        reopened = _known_to_all(opened, processes, recipe)
        if reopened is None:
            folder.remove(PLACE)  # it may have been killed before it could do so itself
            display.line(f"{folder} is finished; there is nothing left to do")
            display.summary(Summary.of(Run(folder.path)))
            return Run(folder.path)
        check_compiling(reopened.recipe, processes)
        with open_runtime(reopened.recipe.settings.runtime, processes) as runtime, kept():
            reopened.tidy(folder)  # not before it is known that the run can go on here
            if reopened.changed:
                folder.write_text("recipe.lock.yaml", reopened.recipe.to_yaml())
            return _carried_out(reopened.recipe, folder, runtime, display, reopened)


def check_compiling(recipe: Recipe, processes: Processes) -> None:
    """Raise DeviceError where a recipe asks several processes for what only one does."""
    train = recipe.settings.train
    if train is not None and train.compile and not processes.alone:
        with placed(recipe.source, "train", "compile"):
            raise DeviceError(f"train.compile: it takes a single process, not {processes.count}; leave it out")


def _folder(path: Path, processes: Processes) -> RunFolder:
    return RunFolder(path) if processes.main else OthersFolder(path)


def _display(display: Display | None, processes: Processes) -> Display:
    return display if display and processes.main else Silent()


def _known_to_all(
    opened: Callable[[], Reopened | None], processes: Processes, recipe: Callable[[], Recipe]
) -> Reopened | None:
    """What the main process has opened again; the others make the recipe themselves, as plugins cannot be sent."""
    if processes.alone:
        return opened()
    known: list[Recipe] = [] if processes.main else [recipe()]

    def portable() -> tuple[dict[str, Any], Finished, bool, Collection[str]] | None:
        found = opened()
        if found is None:
            return None
        known.append(found.recipe)
        return found.journal, found.finished, found.changed, found.touched

    found = processes.from_main(portable)
    return found and Reopened(known[0], *found)


def _carried_out(
    recipe: Recipe, folder: RunFolder, runtime: Runtime, display: Display, before: Reopened | None = None
) -> Run:
    finished = before.finished if before else Finished()
    earlier = before.journal if before else None
    kind = Journal if runtime.processes.main else OthersJournal
    journal = kind(folder, display, recipe.settings.name, earlier, finished.stages)
    with folder.logging(), display.relaying(), journal.told(recipe.resolved(), recipe.source.allow_code):
        model = _story(Stages(recipe, folder, journal, runtime, display, finished))
    folder.remove(PLACE)
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
