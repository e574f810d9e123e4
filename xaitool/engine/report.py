"""Report: the pictures of a run, and the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xaitool import figures
from xaitool.contracts import DataBundle, Images, Tuned
from xaitool.engine.data import OwnedImages
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.explain import Explained, gather
from xaitool.engine.explaining import Trained
from xaitool.engine.fit import Fitted
from xaitool.engine.folder import RunFolder
from xaitool.engine.judge import Judged
from xaitool.engine.pictures import pictures
from xaitool.engine.randomness import derive
from xaitool.engine.report_shortcut import shortcut_sections
from xaitool.engine.report_triage import triage_sections
from xaitool.engine.report_verdicts import layers_in_use, verdict_sections
from xaitool.engine.report_wording import trust
from xaitool.engine.runtime import Runtime
from xaitool.engine.select import Selection
from xaitool.engine.shortcut import Finding
from xaitool.recipe.resolve import Recipe
from xaitool.report import FigureItem, ReportData, Section, Table, render
from xaitool.triage.result import Triage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Random samples shown, samples shown of each class, classes shown, and training images looked through for them.
_SAMPLES, _PER_CLASS, _CLASSES, _LOOKED_AT = 40, 10, 20, 2000


@dataclass(frozen=True)
class Outcome:
    """What a run found: what there is to report."""

    trained: Trained
    tuned: Tuned
    fitted: Fitted
    explained: Explained
    judged: Judged
    shortcut: Finding | None
    triage: Triage | None

    @property
    def data(self) -> DataBundle:
        """The data set."""
        return self.trained.data

    @property
    def evaluation(self) -> Evaluation:
        """The test results."""
        return self.trained.evaluation

    @property
    def selection(self) -> Selection:
        """The test images that were looked at."""
        return self.trained.selection


@dataclass(frozen=True)
class _Gallery:
    """Writes figures and remembers them for the page."""

    folder: RunFolder

    def add(self, name: str, figure: Figure, alt: str, caption: str = "") -> FigureItem:
        return FigureItem(self.folder.write_figure(name, figure), alt, caption)


def picture_lr_search(
    folder: RunFolder, lrs: Sequence[float], losses: Sequence[float], chosen: float | None, note: str
) -> Path:
    """Draw the curve of the learning-rate search."""
    return folder.write_figure("lr_finder", figures.lr_curve(lrs, losses, chosen, note))


def report(
    recipe: Recipe, folder: RunFolder, journal: dict[str, Any], runtime: Runtime, outcome: Outcome
) -> Path | None:
    """Draw all pictures into ``figures/`` and, unless the recipe says otherwise, write ``report.html``: its path."""
    gallery = _Gallery(folder)
    data, evaluation = outcome.data, outcome.evaluation
    sections = [
        _mistakes(gallery, outcome),
        *_explanations(gallery, outcome, journal["stages"]["model"]["cam_layers"]),
        *verdict_sections(outcome.judged, gallery.add),
        *shortcut_sections(outcome.shortcut),
        *triage_sections(outcome.triage, outcome.trained, outcome.explained, gallery.add),
        Section("Training", "", _training(gallery, outcome.tuned, outcome.fitted)),
        Section("Test results by class", "", table=_per_class(evaluation, data)),
        Section("Data", "", _data(gallery, data, recipe.settings.seed)),
        Section("Model", "", preformatted=journal["stages"]["model"]["summary"], folded=True),
        Section("Recipe", "Every default filled in; it runs as it stands.", preformatted=recipe.to_yaml(), folded=True),
    ]
    if not recipe.settings.report.html:
        return None
    seconds = journal["stages"]["fit"]["seconds"]
    page = ReportData(
        name=recipe.settings.name,
        created=_date(journal["started"]),
        sentence=" ".join(filter(None, [_sentence(evaluation, data), _shortcut(outcome), trust(outcome.judged)])),
        facts=[
            ("Test accuracy", f"{evaluation.accuracy:.2%}"),
            ("Misclassified", f"{int((~evaluation.correct).sum()):,} of {len(evaluation.labels):,}"),
            ("Epochs", str(len(outcome.fitted.history))),
            ("Training", _duration(seconds)),
            ("Peak learning rate", f"{outcome.tuned.max_lr:.3g}"),
            ("Device", runtime.describe()),
        ],
        sections=sections,
        footer=f"Data fingerprint {data.fingerprint[:16]} · seed {recipe.settings.seed}",
    )
    return folder.write_text("report.html", render(page))


def _shortcut(outcome: Outcome) -> str:
    return outcome.shortcut.sentence() if outcome.shortcut else ""


def _sentence(evaluation: Evaluation, data: DataBundle) -> str:
    start = f"{evaluation.accuracy:.2%} of {len(evaluation.labels):,} test images are classified correctly"
    wrong = evaluation.confusion.clone().fill_diagonal_(0)
    if not int(wrong.sum()):
        return start + "."
    true, predicted = divmod(int(wrong.argmax()), len(data.classes))
    return (
        f"{start}; the commonest mistake is to take “{data.classes[true]}” for “{data.classes[predicted]}” "
        f"({int(wrong.max())} times)."
    )


def _mistakes(gallery: _Gallery, outcome: Outcome) -> Section:
    """How often which class is taken for which, and some of the images."""
    data, evaluation, explained = outcome.data, outcome.evaluation, outcome.explained
    wrong = int((~evaluation.correct).sum())
    text = f"{wrong:,} of {len(evaluation.labels):,} test images get the wrong class." if wrong else "There are none."
    rows = outcome.selection.misclassified
    count = len(rows)
    found = [
        gallery.add(
            "confusion_matrix",
            figures.confusion_matrix(evaluation.confusion.numpy(), data.classes),
            "Confusion matrix: true classes in rows, predicted classes in columns.",
        )
    ]
    if count or not wrong:  # none selected is not the same as none made
        shown = figures.mistakes(pictures(data, explained.images[:count]), *_labels(evaluation, rows), data.classes)
        found.append(gallery.add("misclassified", shown, "Misclassified test images with predicted and true class."))
    return Section("Mistakes", text, found)


def _labels(evaluation: Evaluation, rows: Tensor) -> tuple[Any, Any, Any]:
    """True class, predicted class and confidence of some rows."""
    return evaluation.labels[rows].numpy(), evaluation.predicted[rows].numpy(), evaluation.confidence[rows].numpy()


def _explanations(gallery: _Gallery, outcome: Outcome, layers: Sequence[str]) -> list[Section]:
    """For every explainer, its maps of the misclassified images and of the correct ones."""
    data, evaluation, explained = outcome.data, outcome.evaluation, outcome.explained
    text = "Bright is what speaks for the class named above a picture. Each map has a scale of its own."
    if outcome.judged.choices:
        text += f" {layers_in_use(outcome.judged.choices)}"
    elif layers:
        text += f" A CAM method looks at the layer {layers[-1]}, unless the recipe names others ({', '.join(layers)})."
    wrong = len(outcome.selection.misclassified)
    parts = [("misclassified", slice(0, wrong)), ("correct", slice(wrong, None))]
    items = []
    for method, by_target in explained.maps.items():
        for what, part in parts:
            rows = explained.rows[part]
            if len(rows) == 0:
                continue
            # Where the model is right, the predicted class is the true one, and one map says it all.
            twice = {"true"} if what == "correct" and "predicted" in by_target else set()
            shown = {target: maps[part] for target, maps in by_target.items() if target not in twice}
            drawn = figures.explained(
                pictures(data, explained.images[part]), *_labels(evaluation, rows), data.classes, shown, method
            )
            alt = f"{what.capitalize()} test images with the maps of {method} for {', '.join(shown)} class."
            caption = f"{len(rows)} {what} test images, drawn at random."
            items.append(gallery.add(f"{method}_{what}", drawn, alt, caption))
    failed = [f"{method} gave no maps: {reason}." for method, reason in explained.failed.items()]
    return [Section("Explanations", " ".join([*failed, text] if items else failed), items)] if items or failed else []


def _training(gallery: _Gallery, tuned: Tuned, fitted: Fitted) -> list[FigureItem]:
    items = []
    if tuned.lrs:
        path = picture_lr_search(gallery.folder, tuned.lrs, tuned.losses, tuned.max_lr, tuned.note)
        items.append(FigureItem(path, "Training loss against learning rate, the chosen rate marked."))
    history = [epoch.as_dict() for epoch in fitted.history]
    curves = figures.training_curves(history)
    items.append(gallery.add("training_curves", curves, "Loss and accuracy on training and test images by epoch."))
    schedule = figures.lr_schedule(fitted.lrs)
    items.append(gallery.add("lr_schedule", schedule, "Learning rate at each step of the training."))
    return items


def _per_class(evaluation: Evaluation, data: DataBundle) -> Table:
    per_class = evaluation.figures(data.classes)["per_class"]
    rows = [
        (name, f"{each['recall']:.1%}", f"{each['precision']:.1%}", f"{each['images']:,}")
        for name, each in per_class.items()
    ]
    return Table(("Class", "Found (recall)", "Right when named (precision)", "Test images"), rows)


def _data(gallery: _Gallery, data: DataBundle, seed: int) -> list[FigureItem]:
    source = data.sample or data.train
    generator = torch.Generator().manual_seed(derive(seed, "pictures"))
    rows = torch.randperm(len(source), generator=generator)[:_LOOKED_AT]
    labels = torch.tensor(_labels_of(source, rows))
    by_class = torch.cat([rows[labels == label][:_PER_CLASS] for label in range(len(data.classes))[:_CLASSES]])
    few, one = rows[:_SAMPLES], rows[:1]

    def shown(chosen: Tensor) -> tuple[Any, Any]:
        return pictures(data, gather(source, chosen)), np.array(_labels_of(source, chosen))

    image, label = shown(one)
    return [
        gallery.add("random_samples", figures.random_samples(*shown(few), data.classes), "Random training images."),
        gallery.add(
            "samples_by_class",
            figures.samples_by_class(*shown(by_class), data.classes, _PER_CLASS),
            "Training images, one row a class.",
        ),
        gallery.add(
            "channels",
            figures.channels(image[0], f"One training image: {data.classes[int(label[0])]}"),
            "One training image and its red, green and blue channels.",
        ),
    ]


def _date(stamp: str) -> str:
    """``22 November 2026, 09:42``."""
    moment = datetime.fromisoformat(stamp)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _labels_of(images: Images, rows: Tensor) -> list[int]:
    wanted = rows.tolist()
    return images.labels_of(wanted) if isinstance(images, OwnedImages) else [images[row][1] for row in wanted]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
