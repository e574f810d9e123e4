"""The comparison's section on what was set differently, and what else was different."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from xaitool.masking import masked
from xaitool.report.compare_pair import Pair, fingerprint
from xaitool.report.model import Section, Table
from xaitool.report.provenance import cpu_of

if TYPE_CHECKING:
    from xaitool.results import Run

_NOT_THERE = "–"


def settings_section(pair: Pair) -> Section:
    """Tables of what differs: in the resolved recipes, in versions, in machine and data."""
    found = {
        "In the recipe": differing(*(recipe_of(run) for _, run in pair)),
        "Plugins and main libraries": differing(*(versions_of(run) for _, run in pair)),
        "Data and machine": differing(*(surroundings_of(run) for _, run in pair)),
    }
    parts = [Section(title, table=Table(("What", "A", "B"), rows)) for title, rows in found.items() if rows]
    if not parts:
        text = "Nothing: recipe, versions, data and machine are the same."
    elif not found["In the recipe"]:
        text = "Nothing in the recipe, every default included."
    else:
        text = "Every default is filled in first; what is the same is not listed."
    return Section("What is different in the settings", text, parts=parts, name="settings")


def recipe_of(run: Run) -> dict[str, str]:
    """The resolved recipe by dotted key, without the versions it was locked with, and without secrets."""
    return dict(flat(masked({key: value for key, value in run.settings.items() if key != "locked"})))


def versions_of(run: Run) -> dict[str, str]:
    """Versions of xaitool, Python, the plugins that the recipe uses and the main libraries."""
    locked = run.settings.get("locked") or {}
    own = {name: str(locked.get(name, _NOT_THERE)) for name in ("xaitool", "python")}
    return {**own, **locked.get("distributions", {}), **locked.get("packages", {})}


def surroundings_of(run: Run) -> dict[str, str]:
    """Data, commit and machine."""
    found = run.environment
    return {
        "Data fingerprint": fingerprint(run)[:16],
        "Commit": (found["commit"] or "none")[:10],
        "Device": found["device"],
        "Platform": found["platform"],
        "CPU": cpu_of(found["cpu"]),
        "CUDA": str(found["cuda"] or "none"),
        "cuDNN": str(found["cudnn"] or "none"),
    }


def differing(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(key, A's value, B's value) of what differs, in A's order, then what only B has."""
    pairs = {key: (a.get(key, _NOT_THERE), b.get(key, _NOT_THERE)) for key in dict.fromkeys([*a, *b])}
    return [(key, one, other) for key, (one, other) in pairs.items() if one != other]


def flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """``train.optimizer.name: sgd``; components in a list go by their labels, other mappings in one by their number."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for number, each in enumerate(value, 1):
            label = each.get("as") if isinstance(each, Mapping) else None
            yield from flat(each, f"{key}.{label}" if label else f"{key}[{number}]")
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
