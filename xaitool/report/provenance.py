"""The report's section on where the run comes from, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xaitool.counting import counted
from xaitool.masking import masked, masked_command
from xaitool.recipe.lock import dump
from xaitool.report.model import Section, Table
from xaitool.report.render import part

if TYPE_CHECKING:
    from xaitool.results import Run

_COMMAND = "xaitool run recipe.lock.yaml"
_SECRETS = " What its keys tell to be a secret is shown as *** here; the file in the folder has it."


def provenance_section(run: Run) -> Section:
    """The resolved recipe, versions, machine, seed, data: and the command that does it all again."""
    recipe = recipe_shown(run)
    return Section(
        "How to repeat this run",
        "The recipe below has every default filled in and every plugin by its full name. Save it as recipe.lock.yaml "
        "(it also lies in the run's folder), and run it. With the same versions, on the same kind of machine and as "
        "many threads, a CPU gives the same results bit for bit." + (_SECRETS if recipe != run.recipe else ""),
        html=part("provenance.html", command=_COMMAND, recipe=recipe),
        parts=[
            Section("Where it ran", table=_environment(run)),
            Section("Plugins and main libraries", table=_versions(run.settings.get("locked") or {}), folded=True),
            Section("All packages", table=_packages(run.environment["packages"]), folded=True),
        ],
        name="provenance",
    )


def recipe_shown(run: Run) -> str:
    """The resolved recipe as it is written down, without secrets."""
    shown = masked(run.settings)
    return run.recipe if shown == run.settings else dump(shown)


def _environment(run: Run) -> Table:
    found = run.environment
    times = len(run.journal.get("resumed", []))
    rows = [
        ("Command", shlex.join(masked_command(found["command"]))),
        *([("Gone on with", f"{counted(times, 'time')}; the recipe is that of the last")] if times else []),
        ("Commit", found["commit"] or "none: it was not started in a git repository"),
        ("Seed", str(run.settings["seed"])),
        *([("Data fingerprint", run.journal["stages"]["data"]["fingerprint"])] if run.did("data") else []),
        ("Device", found["device"]),
        ("Python", found["python"]),
        ("Platform", found["platform"]),
        ("CPU", cpu_of(found["cpu"])),
    ]
    rows += [(name, str(found[key])) for name, key in (("CUDA", "cuda"), ("cuDNN", "cudnn")) if found[key]]
    return Table(("What", "Which"), rows)


def cpu_of(cpu: Mapping[str, Any]) -> str:
    """``x86_64, 2 cores, 1 thread``."""
    return f"{cpu['machine']}, {counted(cpu['cores'], 'core')}, {counted(cpu['threads'], 'thread')}"


def _versions(locked: dict[str, Any]) -> Table:
    rows = [("xaitool", locked.get("xaitool", "–")), ("python", locked.get("python", "–"))]
    rows += [*locked.get("distributions", {}).items(), *locked.get("packages", {}).items()]
    return Table(("Name", "Version"), list(dict.fromkeys(rows)))


def _packages(packages: dict[str, str]) -> Table:
    return Table(("Package", "Version"), list(packages.items()))
