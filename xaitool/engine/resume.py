"""Resume: open the folder of a run that was interrupted, and see what may be gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xaitool.engine.finished import OUTPUTS, STAGES, Finished
from xaitool.engine.folder import RunFolder
from xaitool.errors import FolderError
from xaitool.files import parsed
from xaitool.recipe.lock import differences
from xaitool.recipe.resolve import Recipe
from xaitool.results import FORMAT

# The first stage that a change in the recipe has a part in, by the beginning of the changed key; the longest counts.
# None: no stage has to be done again for it. What is not here changes everything.
_FIRST_STAGE: Mapping[str, str | None] = {
    "": "tune",
    "seed": "data",
    "dataset": "data",
    "name": None,
    "runtime": None,
    "runtime.augment": "tune",
    "runtime.precision": "tune",
    "train.checkpoint_minutes": None,
    "explain": "choose",
    "explain.triage": "triage",
    "explain.require": None,
    "report": None,
}

# What a journal has to have for a run to be gone on with.
_JOURNAL: Mapping[str, type] = {"state": str, "started": str, "resumed": list, "done": list, "stages": dict}


@dataclass(frozen=True)
class Reopened:
    """A run to go on with. recipe: changes included. journal: so far. changed: whether the recipe is another now.

    touched: the first stages that the changes have a part in.
    """

    recipe: Recipe
    journal: dict[str, Any]
    finished: Finished
    changed: bool
    touched: Collection[str]

    def tidy(self, folder: RunFolder) -> None:
        """Take away what is going to be made again, so that nothing of it stays where it is not; but no checkpoint of
        use. And what a kill has left of files that were being written.
        """
        last = max((STAGES.index(stage) for stage in self.finished.stages), default=-1)
        for stage in STAGES[last + 1 :]:
            if stage != "fit" or {"data", "tune"} & set(self.touched):
                folder.remove(*OUTPUTS[stage])
        folder.remove("**/.*-????????")


def journal_of(folder: RunFolder) -> dict[str, Any]:
    """A run's journal. Raises FolderError where the folder is not a run's, or one of another version of xaitool."""
    path = folder.path / "run.json"
    anew = f"begin again: xaitool run {folder.path / 'recipe.lock.yaml'}"
    try:
        found = parsed(path.read_bytes())
    except FileNotFoundError as error:
        raise FolderError(f"{folder} is not a run's folder: it has no run.json") from error
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FolderError(f"{path} is damaged ({error}); {anew}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FolderError(
            f"{folder} was made by another version of xaitool, and this one cannot go on with it; go on with the "
            f"version that recipe.lock.yaml names, or {anew}"
        )
    for key, kind in _JOURNAL.items():
        if not isinstance(found.get(key), kind):
            raise FolderError(f"{path} is damaged (its '{key}' is missing or of another kind); {anew}")
    stages: dict[str, Any] = found["stages"]
    for stage in [*found["done"], *stages]:
        record: Any = stages.get(str(stage))
        sound = isinstance(record, dict) and isinstance(record.get("seconds", 0.0), int | float)
        if not sound or (stage == "data" and not isinstance(record.get("fingerprint", ""), str)):
            raise FolderError(f"{path} is damaged (in the stage {stage}); {anew}")
    return found


def reopen(
    folder: RunFolder,
    set: Mapping[str, Any] | Sequence[str],
    *,
    allow_code: bool = False,
    force: bool,
    warn: Callable[[str], None],
) -> Reopened | None:
    """See what is left to do; None where the run is finished. Nothing in the folder is changed by it.

    set: changes to the recipe; these, and other versions of plugins and libraries, are refused without `force`.
    Raises FolderError, and RecipeError where the recipe no longer is one.
    """
    journal = journal_of(folder)
    before = Recipe.load(folder.path / "recipe.lock.yaml", allow_code=allow_code)
    recipe = before.with_set(set)
    changes = dict(_changes(before.source.data, recipe.resolved()))
    if journal["state"] == "finished":
        if changes:
            lock = folder.path / "recipe.lock.yaml"
            raise FolderError(f"{folder} is finished; to change something, begin a new run: xaitool run {lock} --set …")
        return None
    versions = differences(before.settings.locked, before.components) if before.settings.locked else []
    told = [*changes.values(), *versions]
    if told and not force:
        raise FolderError(
            "\n".join(
                [
                    f"{folder} would go on otherwise than it was begun:",
                    *(f"  {each}" for each in told),
                    "with --force it does; what the changes have no part in is kept, all else is done again",
                ]
            )
        )
    for each in told:
        warn(each)
    touched = {stage for key in changes if (stage := _first_stage(key))}
    finished = Finished.read(folder, _reusable(journal, touched), warn)
    return Reopened(recipe, journal, finished, bool(told), touched)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key that says something else now, and what it says, in words."""
    old, new = (dict(_flat({**each, "locked": None})) for each in (before, now))
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in new or key not in old or old[key] != new[key]:
            was, says = (json.dumps(each[key]) if key in each else "not there" for each in (old, new))
            yield key, f"{key}: was {was}, now {says}"


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    if not items:
        yield path, data
    for key, value in items:
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def _first_stage(key: str) -> str | None:
    parts = key.split(".")
    beginnings = (".".join(parts[:end]) for end in range(len(parts), -1, -1))
    return next(_FIRST_STAGE[beginning] for beginning in beginnings if beginning in _FIRST_STAGE)


def _reusable(journal: Mapping[str, Any], touched: set[str]) -> list[str]:
    """The stages that are done, up to the first that is not, or that a change has a part in."""
    begun, done = journal["stages"], journal["done"]
    redone = [stage for stage in STAGES if (stage in begun and stage not in done) or stage in touched]
    end = STAGES.index(redone[0]) if redone else STAGES.index("report")
    return [stage for stage in STAGES[:end] if stage in done]
