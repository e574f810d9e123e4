"""What a person sees while a run goes on: one line a stage, and bars with images per second and time left."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from xaitool import tracing
from xaitool.characters import harmless

if TYPE_CHECKING:
    from xaitool.summary import Summary

log = logging.getLogger("xaitool")

# How often a bar is drawn anew, a second: drawing takes milliseconds from a core that trains.
_DRAWN = 3


class Bar(Protocol):
    """A bar in progress: call it with the number of images done since, and a word on how it goes."""

    def __call__(self, images: int, note: str = "") -> None:
        """Move the bar."""


class Display:
    """Tells a person what happens. Lines also go to the log; bars are for terminals only."""

    def __init__(self, console: Console | None = None) -> None:
        # The stream is taken now: while a library's chatter is redirected, bars must still reach the terminal.
        self.console = console or Console(file=sys.stderr, highlight=False, emoji=False)

    def line(self, text: str) -> None:
        """Say one thing."""
        text = harmless(text)
        log.info(text)
        self.console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say one thing that deserves attention."""
        text = harmless(text)
        if self.console.quiet or log.hasHandlers():  # without any, logging itself shows it, on the same terminal
            log.warning(text)
        self.console.print(f"warning: {text}", markup=False, soft_wrap=True, style="yellow")

    def summary(self, summary: Summary) -> None:
        """Say what came of the run; one that came to no test results has its error to speak for it."""
        if summary.accuracy is not None:
            for line in ("", *summary.lines(min(self.console.width, 80))):
                self.line(line)

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """Also say what plugins and helpers log under ``xaitool.…`` (that a data set is being decoded, say)."""
        handler = _Relay(self.console)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Bar]:
        """A bar over `total` images (None: nobody knows); it vanishes when done."""
        progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            _Speed(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
            refresh_per_second=_DRAWN,
            # Colour can be forced where there is no terminal, as CI does; bars cannot.
            disable=not (self.console.is_interactive and self.console.file.isatty()),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with progress:
            task = progress.add_task(label, total=total, note="")

            def advance(images: int, note: str = "") -> None:
                if note:
                    progress.update(task, advance=images, note=note)
                else:
                    progress.advance(task, images)

            yield advance


class Silent(Display):
    """Only the log."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))


class ForScripts(Silent):
    """Warnings only, on stderr. Keeps the run's summary for the caller."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Summary | None = None

    def warn(self, text: str) -> None:
        """Say one thing that deserves attention."""
        if log.hasHandlers():
            super().warn(text)
        print(f"warning: {harmless(text)}", file=sys.stderr)

    def summary(self, summary: Summary) -> None:
        """Keep it."""
        self.kept = summary


class _Relay(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.relayed_to = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in (log.name, tracing.log.name):  # the engine and the trace have said theirs themselves
            self.relayed_to.print(f"  {harmless(record.getMessage())}", markup=False, soft_wrap=True)


class _Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "", style="cyan")
