"""A folder's own code, as it stands there now, whatever modules of the same names were imported before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class _Imported:
    """A module that was imported for a model. stamp: its file's time and size at that moment."""

    module: ModuleType
    folder: Path
    stamp: tuple[int, int] | None


_imported: dict[str, _Imported] = {}


@contextmanager
def importable(folder: Path, target: str) -> Iterator[None]:
    """Look for modules in a folder first. The list of folders comes back as it was.

    target: the module that is wanted. What an earlier model was made of is imported anew where it comes from another
    folder or where one of its files has changed; so is the target, where another module of its name is loaded than the
    folder's. If what is done here fails, the modules are those of before.
    """
    folder = folder.resolve()
    path = list(sys.path)
    replaced = {name: sys.modules.pop(name) for name in _stale(folder) | _elsewhere(folder, target)}
    kept = {name: each for name, each in _imported.items() if sys.modules.get(name) is each.module}
    before = {_top(name) for name in sys.modules} - {_top(name) for name in kept}
    sys.path.insert(0, str(folder))
    invalidate_caches()  # a file may be newer than the last look at its folder
    try:
        yield
    except BaseException:
        for name in _from(folder, before) - kept.keys():
            del sys.modules[name]
        sys.modules.update(replaced)
        raise
    else:
        new = {name: sys.modules[name] for name in _from(folder, before) - kept.keys()}
        _imported.clear()
        _imported.update(kept)
        _imported.update({name: _Imported(module, folder, _stamp(module)) for name, module in new.items()})
    finally:
        sys.path[:] = path


def _stale(folder: Path) -> set[str]:
    """What was imported for models, all of it, where any of it is of another folder or no longer what its file says."""
    there = {name: each for name, each in _imported.items() if sys.modules.get(name) is each.module}
    fresh = all(each.folder == folder and each.stamp == _stamp(each.module) for each in there.values())
    return set() if fresh else set(there)


def _elsewhere(folder: Path, target: str) -> set[str]:
    """The target's package with all that is in it, where the folder has a target and what is loaded is another."""
    base = folder.joinpath(*target.split("."))
    if not (base.with_name(f"{base.name}.py").is_file() or (base / "__init__.py").is_file()):
        return set()
    loaded = [name for name in (_top(target), target) if name in sys.modules]
    if all(_lies_in(folder, name) for name in loaded):
        return set()
    return {name for name in sys.modules if _top(name) == _top(target)}


def _from(folder: Path, before: set[str]) -> set[str]:
    """Modules of the folder, of packages that were not loaded before."""
    return {name for name in list(sys.modules) if _top(name) not in before and _lies_in(folder, name)}


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a loaded module is the folder's own; one of an environment that lies in the folder is not."""
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))  # a package without a file of its own
    found = [path for place in places for path in (Path(place).absolute(), Path(place).resolve())]
    inside = [path.relative_to(folder).parts for path in found if path.is_relative_to(folder)]
    return any(parts and parts[0].split(".")[0] == _top(name) for parts in inside)


def _stamp(module: ModuleType) -> tuple[int, int] | None:
    file = getattr(module, "__file__", None)
    try:
        status = Path(file).stat() if file else None
    except OSError:  # taken away since
        return None
    return (status.st_mtime_ns, status.st_size) if status else None


def _top(name: str) -> str:
    return name.partition(".")[0]
