"""The report's section on the training: how the rate was found, how it went, and how long everything took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xaitool import figures
from xaitool.report.drawing import Drawing
from xaitool.report.head import duration
from xaitool.report.model import Section, Table

if TYPE_CHECKING:
    from xaitool.results import Run


def training_section(run: Run, draw: Drawing) -> Section:
    """Curves, the best and the last epoch, the stages' times, the model; of a run without training the last two."""
    if not run.trained:
        weights = run.journal["stages"]["model"]["weights"]
        text = f"It was not trained in this run; its weights are {'from ' + weights if weights else 'random'}."
        return Section("How good is the model?", text, parts=_time_and_model(run), name="training")
    drawn = [
        draw.chart(
            "training_curves",
            figures.training_curves(run.history),
            "Loss and accuracy on training and test images by epoch; the figures are in the table of epochs.",
        )
    ]
    search = run.lr_finder
    if search["lrs"]:
        curve = figures.lr_curve(search["lrs"], _numbers(search["losses"]), search["max_lr"], search["note"])
        alt = f"Training loss against learning rate; {search['max_lr']:.3g} was chosen, {search['note']}."
        drawn.append(draw.chart("lr_finder", curve, alt))
    drawn.append(draw.chart("lr_schedule", figures.lr_schedule(run.lrs), "Learning rate at each step of the training."))
    parts = [Section("Epochs", table=_epochs(run.history), folded=True), *_time_and_model(run)]
    return Section("How good is the model?", _best_and_last(run.history), drawn, parts=parts, name="training")


def _time_and_model(run: Run) -> list[Section]:
    model = run.journal["stages"]["model"]
    return [
        Section("Time", table=_times(run.journal["stages"]), folded=True),
        Section("Model", f"{model['parameters']:,} parameters.", preformatted=model["summary"], folded=True),
    ]


def _best_and_last(history: list[dict[str, Any]]) -> str:
    best = max(history, key=lambda epoch: epoch["test_accuracy"])
    last = history[-1]
    trained = f"on the training images, as they were augmented, {last['train_accuracy']:.2%}"
    if best is last or best["test_accuracy"] == last["test_accuracy"]:
        tested = f"{last['test_accuracy']:.2%} on the test images"
        return f"The last of {_epochs_of(history)} is also the best: {tested}; {trained}."
    return (
        f"The model is that of the last of {_epochs_of(history)}, with {last['test_accuracy']:.2%} on the test images; "
        f"{trained}. The best was epoch {best['epoch']} with {best['test_accuracy']:.2%}; choosing it afterwards would "
        "flatter the model."
    )


def _epochs_of(history: list[dict[str, Any]]) -> str:
    return f"{len(history)} epoch{'s' * (len(history) != 1)}"


def _epochs(history: list[dict[str, Any]]) -> Table:
    columns = ("Epoch", "Learning rate", "Training loss", "Training accuracy", "Test loss", "Test accuracy", "Seconds")
    rows = [
        (
            str(each["epoch"]),
            f"{each['lr']:.3g}",
            loss_text(each["train_loss"]),
            f"{each['train_accuracy']:.2%}",
            loss_text(each["test_loss"]),
            f"{each['test_accuracy']:.2%}",
            f"{each['seconds']:.1f}",
        )
        for each in history
    ]
    return Table(columns, rows)


def loss_text(value: float | None) -> str:
    """JSON knows no infinity: a loss that was too large to be a number is null there."""
    return "–" if value is None else f"{value:.4f}"


# What happens in each stage, for a reader who has never seen one.
_STAGES = {
    "data": "reading the data set",
    "model": "building the model and trying the explainers on it",
    "tune": "searching the learning rate",
    "fit": "training",
    "evaluate": "the test images",
    "choose": "measuring which layer to look at",
    "explain": "the maps of the selected images",
    "judge": "measuring whether the maps can be trusted",
    "curves": "the curves of single images",
    "shortcut": "whether the model uses the planted patch",
    "triage": "looking at every mistake",
}


def _times(stages: dict[str, Any]) -> Table:
    """The report's own time is left out: it is not over yet."""
    seconds = {name: each["seconds"] for name, each in stages.items() if name != "report" and "seconds" in each}
    whole = sum(seconds.values()) or 1.0
    rows = [(name, _STAGES.get(name, ""), duration(each), f"{each / whole:.0%}") for name, each in seconds.items()]
    return Table(("Stage", "What it does", "Time", "Of the whole"), rows)


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
