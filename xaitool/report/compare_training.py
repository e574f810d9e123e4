"""The comparison's section on the training of both runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xaitool import figures
from xaitool.durations import duration
from xaitool.percent import percent
from xaitool.report.compare_pair import Pair
from xaitool.report.model import FigureItem, Section, Table
from xaitool.report.training import loss_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xaitool.results import Run


def training_section(pair: Pair) -> Section:
    """Loss, accuracy and learning rate of both, over each other; the figures in a table."""
    untrained = [name for name, run in pair if not run.trained]
    if len(untrained) == 2:
        return Section("Training", "A and B were not trained in the run.", name="training")
    drawn = [
        _chart(
            figures.compared_curves({name: run.history if run.trained else [] for name, run in pair}),
            "Loss and accuracy of both runs by epoch, A's lines solid and B's dashed; the ends are in the table.",
        ),
        _chart(
            figures.compared_schedules({name: run.lrs for name, run in pair}),
            "Learning rate of both runs at each step, A's line solid and B's dashed; the peaks are in the table.",
        ),
    ]
    rows = zip(_ENDS, *(_ends(run) for _, run in pair), strict=True)
    table = Table(("What", "A", "B"), list(rows))
    text = f"{untrained[0]} was not trained in the run." if untrained else "A's lines are solid, B's dashed."
    return Section("Training", text, drawn, table, name="training")


def _chart(figure: Figure, alt: str) -> FigureItem:
    return FigureItem(figures.drawn(figure, ("svg",))["svg"], alt)


_ENDS = (
    "Epochs",
    "Steps",
    "Peak learning rate",
    "Training loss, last epoch",
    "Test loss, last epoch",
    "Test accuracy, last epoch",
    "Test accuracy, best epoch",
    "Time",
)


def _ends(run: Run) -> tuple[str, ...]:
    if not run.trained:
        return ("–",) * len(_ENDS)
    last, best = run.history[-1], max(run.history, key=lambda epoch: epoch["test_accuracy"])
    return (
        f"{len(run.history):,}",
        f"{len(run.lrs):,}",
        f"{max(run.lrs):.3g}" if run.lrs else "–",
        loss_text(last["train_loss"]),
        loss_text(last["test_loss"]),
        percent(last["test_accuracy"], 2),
        f"{percent(best['test_accuracy'], 2)} (epoch {best['epoch']})",
        duration(run.journal["stages"]["fit"]["seconds"]),
    )
