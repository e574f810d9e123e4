"""The report of a run: what it says (:class:`ReportData`) and its one HTML file (:func:`render`)."""

from xaitool.report.model import FigureItem, ReportData, Section, Table
from xaitool.report.render import render

__all__ = ["FigureItem", "ReportData", "Section", "Table", "render"]
