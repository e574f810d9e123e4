"""The head of the report: the outcome in words, and what a reader should know before he believes it."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from xaitool import findings
from xaitool.accuracy import Accuracy, with_bounds
from xaitool.counting import counted
from xaitool.durations import duration
from xaitool.percent import percent
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
    summary, accuracy = Summary.of(run), Accuracy.of(run.metrics)
    images, right = f"{accuracy.share.n:,} test images", percent(accuracy.share.mean, 2)
    if accuracy.share.n == 1:
        said = f"The one test image is classified {'in' if summary.misclassified else ''}correctly"
    else:
        said = f"{right} of {images} are classified correctly"
    if not accuracy.beats_chance:
        how = "is worse than" if accuracy.share.high < accuracy.chance else "cannot be told from"
        said += f", which {how} {accuracy.guess()} ({percent(accuracy.chance)})"
    if worst := summary.commonest_confusion:
        commonest = "one of the commonest mistakes" if worst.tied else "the commonest mistake"
        said += f"; {commonest} is to take “{worst.true}” for “{worst.predicted}” ({worst.times()})"
    return " ".join(filter(None, [f"{said}.", trust(run.judged)]))


def warnings(run: Run) -> list[str]:
    """What speaks against believing the model or the maps, in plain words."""
    return [*_ended(run), *findings.warnings(run)]


def _ended(run: Run) -> Iterator[str]:
    """How a run ended that did not end well, and what to do."""
    state, stage, why = (run.journal[each] for each in ("state", "stage", "error"))
    during = f" in stage {stage}" if stage else ""
    go_on = f"to go on: xaitool run --resume {shlex.quote(str(run.folder.absolute()))}"
    match state:
        case "failed" if run.complete:  # an explainer fell short: nothing is left to do
            yield f"the run has failed: {why}"
        case "failed":
            yield f"the run has failed{during}: {why}; {go_on} (with another setting: add --set KEY=VALUE --force)"
        case "interrupted":
            yield f"the run has been interrupted{during}; {go_on}"
        case "running" if stage != "report":
            yield f"the run was still going on{during} when this page was made, or was killed there; {go_on}"


def good_news(run: Run) -> list[str]:
    """What was looked for, and is not there."""
    return findings.good_news(run)


def facts(run: Run) -> list[tuple[str, str]]:
    """The figures at a glance."""
    stages, found = run.journal["stages"], []
    if run.tested:
        metrics, accuracy = run.metrics, Accuracy.of(run.metrics)
        found += [
            ("Test accuracy (95% interval)", with_bounds(accuracy.share, 2)),
            ("Chance (always naming one class)", percent(accuracy.chance)),
            ("Misclassified", f"{metrics['misclassified']:,} of {metrics['images']:,}"),
            ("Calibration error", percent(metrics["calibration"]["ece"])),
        ]
    if run.trained or (not run.trains and "evaluate" in stages):
        found.append(("Training", _training(run)))
    whole = sum(each.get("seconds", 0) for name, each in stages.items() if name != "report")
    return [*found, ("Until this report", duration(whole))]


def _training(run: Run) -> str:
    if not run.trains:
        return "none in this run"
    time = duration(run.journal["stages"]["fit"]["seconds"]).replace(" ", "\u00a0")  # a number keeps its unit
    return f"{counted(len(run.history), 'epoch')}, {time}"


def thumbnails(run: Run) -> list[Thumbnail]:
    """Some of the misclassified images, each a link to its explanation."""
    if not run.explains:
        return []
    wrong = [place for place, each in enumerate(run.explained) if each["correct"] == "0"][:_THUMBNAILS]
    return [
        Thumbnail(
            content=_small(run.images[place]),
            alt=f"{run.explained[place]['true']} taken for {run.explained[place]['predicted']}",
            link=image_link(run.explained[place]["id"]),
            side=max(run.images.shape[1:3]),
        )
        for place in wrong
    ]


def created(run: Run) -> str:
    """When the run began: ``22 November 2026, 09:42 UTC+01:00``, the zone being the machine's."""
    moment = datetime.fromisoformat(run.journal["started"])
    zone = f" {timezone(offset)}" if (offset := moment.utcoffset()) is not None else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def image_link(name: str) -> str:
    """The view of the gallery with one image, by its id."""
    return f"#gallery&image={quote(name)}"


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
