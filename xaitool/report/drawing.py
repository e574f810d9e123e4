"""The figures of a report: files in the run's folder, and content for the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xaitool import figures
from xaitool.errors import FolderError
from xaitool.files import filename, write_whole
from xaitool.report.model import FigureItem

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """Writes figures into a folder, and gives them to the page. svg: write charts as SVG too."""

    folder: Path
    svg: bool = False

    def chart(self, name: str, figure: Figure, alt: str, caption: str = "") -> FigureItem:
        """``NAME.png``, and an SVG for the page."""
        files = figures.drawn(figure, ("png", "svg"))
        for format in ("png", "svg") if self.svg else ("png",):
            self._write(name, format, files[format])
        return FigureItem(files["svg"], alt, caption)

    def keep(self, name: str, figure: Figure) -> None:
        """``NAME.png`` only: the page shows the same in another way."""
        self._write(name, "png", figures.drawn(figure)["png"])

    def _write(self, name: str, format: str, content: bytes) -> None:
        path = self.folder / f"{filename(name)}.{format}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise FolderError(f"cannot write {path}: {error.strerror or error}") from error
