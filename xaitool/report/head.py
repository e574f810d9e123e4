"""The head of the report: the outcome in words, and what a reader should know before he believes it."""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from xaitool import findings
from xaitool.durations import duration
from xaitool.report.model import Thumbnail
from xaitool.report.wording import trust
from xaitool.summary import Summary

if TYPE_CHECKING:
    from xaitool.results import Run

# Thumbnails, and pixels of their longer side at most.
_THUMBNAILS, _SIDE = 12, 96


def sentence(run: Run) -> str:
    """The outcome in one or two sentences."""
    if not run.tested:
        stage = run.journal["stage"]
        return f"The run did not come to its test results{f': it ended in stage {stage}' if stage else ''}."
    summary = Summary.of(run)
    said = f"{summary.accuracy:.2%} of {summary.images:,} test images are classified correctly"
    if worst := summary.commonest_confusion:
        said += (
            f"; the commonest mistake is to take “{worst.true}” for “{worst.predicted}” "
            f"({worst.count:,} time{'s' * (worst.count != 1)})"
        )
    return " ".join(filter(None, [f"{said}.", trust(run.judged)]))


def warnings(run: Run) -> list[str]:
    """What speaks against believing the model or the maps, in plain words."""
    state, why = run.journal["state"], run.journal["error"]
    broken = [f"the run has {'failed' if state == 'failed' else 'been interrupted'}: {why}"]
    return [*(broken if state in ("failed", "interrupted") else []), *findings.warnings(run)]


def good_news(run: Run) -> list[str]:
    """What was looked for, and is not there."""
    return findings.good_news(run)


def facts(run: Run) -> list[tuple[str, str]]:
    """The figures at a glance."""
    stages, found = run.journal["stages"], []
    if run.tested:
        metrics = run.metrics
        found += [
            ("Test accuracy", f"{metrics['accuracy']:.2%}"),
            ("Misclassified", f"{metrics['misclassified']:,} of {metrics['images']:,}"),
            ("Calibration error", f"{metrics['calibration']['ece']:.1%}"),
        ]
    if run.trained or not run.trains:
        found.append(("Training", _training(run)))
    whole = sum(each.get("seconds", 0) for name, each in stages.items() if name != "report")
    return [*found, ("Whole run", duration(whole)), ("Device", run.environment["device"])]


def _training(run: Run) -> str:
    if not run.trains:
        return "none in this run"
    epochs = len(run.history)
    return f"{epochs} epoch{'s' * (epochs != 1)}, {duration(run.journal['stages']['fit']['seconds'])}"


def thumbnails(run: Run) -> list[Thumbnail]:
    """Some of the misclassified images, each a link to its explanation."""
    if not run.explains:
        return []
    wrong = [place for place, each in enumerate(run.explained) if each["correct"] == "0"][:_THUMBNAILS]
    return [
        Thumbnail(
            content=_small(run.images[place]),
            alt=f"{run.explained[place]['true']} taken for {run.explained[place]['predicted']}",
            link=f"#gallery&image={quote(run.explained[place]['id'])}",
            side=max(run.images.shape[1:3]),
        )
        for place in wrong
    ]


def created(run: Run) -> str:
    """When the run began: ``22 November 2026, 09:42``."""
    moment = datetime.fromisoformat(run.journal["started"])
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def quote(text: str) -> str:
    """A text as a value in a link's hash, as the browser's own URLSearchParams reads it."""
    from urllib.parse import quote as quoted

    return quoted(text, safe="")


def _small(picture: np.ndarray) -> bytes:
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
