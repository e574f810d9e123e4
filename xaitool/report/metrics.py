"""What the metrics of a run say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xaitool.errors import ComponentError
from xaitool.plugins import catalog

if TYPE_CHECKING:
    from xaitool.results import Run


def summaries_of_metrics(run: Run) -> dict[str, str]:
    """Each metric's own line, by its label; without those whose plugin is not there any more. Of a run that judged."""
    if not run.verdicts:
        return {}
    found = {}
    for metric in run.settings["explain"]["metrics"]:
        try:
            found[metric["as"]] = catalog().find("metric", metric["use"]).component.summary
        except ComponentError:
            continue
    return found
