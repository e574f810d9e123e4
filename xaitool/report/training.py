"""The report's section on the training: how the rate was found, how it went, and how long everything took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xaitool import figures
from xaitool.counting import counted
from xaitool.durations import duration
from xaitool.percent import percent
from xaitool.report.drawing import Drawing
from xaitool.report.model import FigureItem, Section, Table

if TYPE_CHECKING:
    from xaitool.results import Run


def training_sections(run: Run, draw: Drawing) -> list[Section]:
    """Curves, the best and the last epoch, the stages' times, the model; as far as the run came."""
    history = _history(run)
    if not history and not run.did("model"):
        return []
    drawn, parts = [], []
    if history:
        alt = "Loss and accuracy on training and test images by epoch; the figures are in the table of epochs."
        drawn.append(draw.chart("training_curves", figures.training_curves(history), alt))
        parts.append(Section("Epochs", table=_epochs(history), folded=True))
    drawn += _search(run, draw)
    if run.trained:
        alt = "Learning rate at each step of the training."
        drawn.append(draw.chart("lr_schedule", figures.lr_schedule(run.lrs), alt))
    parts.append(Section("Time", table=_times(run.journal["stages"]), folded=True))
    if run.did("model"):
        model = run.journal["stages"]["model"]
        parts.append(
            Section("Model", f"{model['parameters']:,} parameters.", preformatted=model["summary"], folded=True)
        )
    return [Section("How good is the model?", _said(run, history), drawn, parts=parts, name="training")]


def _history(run: Run) -> list[dict[str, Any]]:
    """The epochs; of a training that was broken off, those that are done."""
    begun = run.trains and (run.folder / "history.jsonl").is_file()
    return run.history if run.trained or begun else []


def _search(run: Run, draw: Drawing) -> list[FigureItem]:
    """The search for a learning rate, also where it found none."""
    if not run.did("tune") and not (run.folder / "lr_finder.json").is_file():
        return []
    search = run.lr_finder
    if not search["lrs"]:
        return []
    rate, note = search["max_lr"], search.get("note", "no learning rate was found")
    alt = f"Training loss against learning rate; {f'{rate:.3g} was chosen, {note}' if rate else note}."
    return [draw.chart("lr_finder", figures.lr_curve(search["lrs"], _numbers(search["losses"]), rate, note), alt)]


def _said(run: Run, history: list[dict[str, Any]]) -> str:
    if run.trained:
        return _best_and_last(history)
    if history:
        return f"The training was broken off after {_epochs_of(history)}."
    if run.trains and "fit" in run.journal["stages"]:
        return "The training did not come to the end of its first epoch."
    if run.trains:
        return "The run did not come to its training."
    weights = run.journal["stages"]["model"]["weights"]
    return f"It was not trained in this run; its weights are {f'from {weights}' if weights else 'random'}."


def _best_and_last(history: list[dict[str, Any]]) -> str:
    best = max(history, key=lambda epoch: epoch["test_accuracy"])
    last = history[-1]
    trained = f"on the training images, as they were augmented, {percent(last['train_accuracy'], 2)}"
    tested = f"{percent(last['test_accuracy'], 2)} on the test images"
    if len(history) == 1:
        return f"After its only epoch: {tested}; {trained}."
    if best is last or best["test_accuracy"] == last["test_accuracy"]:
        return f"The last of {_epochs_of(history)} is also the best: {tested}; {trained}."
    return (
        f"The model is that of the last of {_epochs_of(history)}, with {tested}; {trained}. The best was epoch "
        f"{best['epoch']} with {percent(best['test_accuracy'], 2)}; choosing it afterwards would flatter the model."
    )


def _epochs_of(history: list[dict[str, Any]]) -> str:
    return counted(len(history), "epoch")


def _epochs(history: list[dict[str, Any]]) -> Table:
    columns = (
        "Epoch", "Learning rate at its end", "Training loss", "Training accuracy", "Test loss", "Test accuracy",
        "Seconds",
    )  # fmt: skip
    rows = [
        (
            str(each["epoch"]),
            f"{each['lr']:.3g}",
            loss_text(each["train_loss"]),
            percent(each["train_accuracy"], 2),
            loss_text(each["test_loss"]),
            percent(each["test_accuracy"], 2),
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
