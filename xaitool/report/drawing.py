"""The figures of a report: files in the run's folder, and content for the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xaitool import figures
from xaitool.files import filename, write_within
from xaitool.report.model import FigureItem

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """Gives figures to the page, and writes them into a folder; None: nowhere. svg: write charts as SVG too."""

    folder: Path | None
    svg: bool = False

    @property
    def keeps(self) -> bool:
        """Whether figures are written anywhere; if not, those that are not for the page need not be drawn."""
        return self.folder is not None

    def chart(self, name: str, figure: Figure, alt: str, caption: str = "") -> FigureItem:
        """``NAME.png``, and an SVG for the page."""
        written = () if self.folder is None else ("png", "svg") if self.svg else ("png",)
        files = figures.drawn(figure, tuple(dict.fromkeys(("svg", *written))))
        for format in written:
            self._write(name, format, files[format])
        return FigureItem(files["svg"], alt, caption)

    def keep(self, name: str, figure: Figure) -> None:
        """``NAME.png`` only: the page shows the same in another way."""
        if self.folder is not None:
            self._write(name, "png", figures.drawn(figure)["png"])

    def _write(self, name: str, format: str, content: bytes) -> None:
        assert self.folder is not None  # noqa: S101 - the callers have looked
        write_within(self.folder.parent, f"{self.folder.name}/{filename(name)}.{format}", content)
