"""Writing the report of a run, from what is in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xaitool.errors import FolderError
from xaitool.files import write_told
from xaitool.report.data import data_section
from xaitool.report.drawing import Drawing
from xaitool.report.explanations import gallery_sections
from xaitool.report.head import created, facts, good_news, sentence, thumbnails, warnings
from xaitool.report.locate import STATES
from xaitool.report.metrics import summaries_of_metrics
from xaitool.report.mistakes import mistakes_sections
from xaitool.report.model import ReportData, Section
from xaitool.report.plugin_sections import plugin_sections
from xaitool.report.provenance import provenance_section
from xaitool.report.readable import readable
from xaitool.report.render import GALLERY, MOST, render
from xaitool.report.shortcut import shortcut_sections
from xaitool.report.training import training_sections
from xaitool.report.triage import triage_sections
from xaitool.report.verdicts import verdict_sections

if TYPE_CHECKING:
    from xaitool.results import Run


def write_report(run: Run, html: bool = True, *, svg: bool | None = None, page: Path | None = None) -> Path | None:
    """Draw all figures into ``figures/`` and, unless `html` is false, write ``report.html``: its path.

    svg: write charts as SVG too; None: as the recipe says. page: write the page there, and nothing into the folder.
    Takes numpy and matplotlib, but neither torch nor the data set nor the model: a run's folder is enough. Of a run
    that failed or was interrupted, there is what it came to. Raises FolderError where that is nothing at all, where
    a file is missing or damaged, or where the folder cannot be written.
    """
    with readable(run):
        return _write(run, html, svg, page)


def _write(run: Run, html: bool, svg: bool | None, page: Path | None) -> Path | None:
    if not run.did("data"):
        state, stage = run.journal["state"], run.journal["stage"]
        raise FolderError(
            f"{run.folder} has nothing to report: the run {STATES[state]}{f' in stage {stage}' * bool(stage)}"
        )
    if run.did("judge") and not (run.folder / "verdicts.json").is_file():
        raise FolderError(f"{run.folder} has no verdicts.json, although its explainers were judged")
    folder = None if page else run.folder / "figures"
    draw = Drawing(folder, svg=run.settings["report"]["svg"] if svg is None else svg)
    sections = {
        "training": training_sections(run, draw),
        "mistakes": mistakes_sections(run, draw),
        "gallery": gallery_sections(run, draw),
        "triage": triage_sections(run, draw),
        "shortcut": shortcut_sections(run.finding),
        "verdicts": verdict_sections(run.judged, draw.chart, summaries_of_metrics(run)),
        "plugins": plugin_sections(run),
        "data": [data_section(run)],
        "provenance": [provenance_section(run)],
    }
    if not html:
        return None
    content = _page(run, sections)
    if (excess := len(content) - MOST) > 0:
        takes = sum(len(section.html.encode(errors="replace")) for section in sections["gallery"])
        sections["gallery"] = gallery_sections(run, draw, takes - excess - GALLERY)
        content = _page(run, sections)
    path = page or run.folder / "report.html"
    return write_told(path, content)


def _page(run: Run, sections: Mapping[str, Sequence[Section]]) -> bytes:
    report = ReportData(
        name=run.settings["name"],
        created=created(run),
        device=run.environment["device"],
        sentence=sentence(run),
        good_news=good_news(run),
        warnings=warnings(run),
        facts=facts(run),
        thumbnails=thumbnails(run),
        sections=[section for chapter in sections.values() for section in chapter],
        commit=(run.environment["commit"] or "")[:10],
        footer=f"Data fingerprint {run.journal['stages']['data']['fingerprint'][:16]} · seed {run.settings['seed']}",
    )
    # A path of bytes that are no text, as Linux allows it, must not cost the page.
    return render(report).encode(errors="replace")
