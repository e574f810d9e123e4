"""Writing the report of a run, from what is in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xaitool.errors import FolderError
from xaitool.files import write_whole
from xaitool.report.data import data_section
from xaitool.report.drawing import Drawing
from xaitool.report.explanations import gallery_section
from xaitool.report.head import created, facts, sentence, thumbnails, warnings
from xaitool.report.mistakes import mistakes_section
from xaitool.report.model import ReportData
from xaitool.report.plugin_sections import plugin_sections
from xaitool.report.provenance import provenance_section
from xaitool.report.render import render
from xaitool.report.shortcut import shortcut_sections
from xaitool.report.training import training_section
from xaitool.report.triage import triage_sections
from xaitool.report.verdicts import verdict_sections

if TYPE_CHECKING:
    from xaitool.results import Run


def write_report(run: Run, html: bool = True, *, svg: bool | None = None, page: Path | None = None) -> Path | None:
    """Draw all figures into ``figures/`` and, unless `html` is false, write ``report.html``: its path.

    svg: write charts as SVG too; None: as the recipe says. page: write the page there, and nothing into the folder.
    Takes numpy and matplotlib, but neither torch nor the data set nor the model: a run's folder is enough. Raises
    FolderError where the run did not come to its test results, or the folder cannot be written.
    """
    try:
        return _write(run, html, svg, page)
    except KeyError as error:
        raise FolderError(
            f"{run.folder} was made by another version of xaitool, or changed: it lacks {error}"
        ) from error


def _write(run: Run, html: bool, svg: bool | None, page: Path | None) -> Path | None:
    folder = None if page else run.folder / "figures"
    draw = Drawing(folder, svg=run.settings["report"]["svg"] if svg is None else svg)
    sections = [
        training_section(run, draw),
        mistakes_section(run, draw),
        gallery_section(run, draw),
        *triage_sections(run, draw),
        *shortcut_sections(run.finding),
        *verdict_sections(run.judged, draw.chart),
        *plugin_sections(run),
        data_section(run),
        provenance_section(run),
    ]
    if not html:
        return None
    report = ReportData(
        name=run.settings["name"],
        created=created(run),
        sentence=sentence(run),
        warnings=warnings(run),
        facts=facts(run),
        thumbnails=thumbnails(run),
        sections=sections,
        commit=(run.environment["commit"] or "")[:10],
        footer=f"Data fingerprint {run.journal['stages']['data']['fingerprint'][:16]} · seed {run.settings['seed']}",
    )
    path = page or run.folder / "report.html"
    try:
        write_whole(path, render(report).encode())
    except OSError as error:
        raise FolderError(f"cannot write {path}: {error.strerror or error}") from error
    return path
