"""How every figure looks: colours, type, and how long a text may be.

Okabe and Ito's colours, which people with colour-blindness tell apart; black text; a light grid; headlines on the left.
"""

from __future__ import annotations

import textwrap
import warnings
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path

INK: Final = "#1f2933"
MUTED: Final = "#5b6773"
GRID: Final = "#e4e7eb"
BLUE: Final = "#0072b2"
VERMILION: Final = "#d55e00"

DPI: Final = 130
HEADLINE: Final = 12.0  # points, as all font sizes
TEXT: Final = 9.5
SMALL: Final = 8.0

# For class names in scripts that matplotlib's own font lacks: those of these that are installed.
_OTHER_SCRIPTS: Final = (
    *(f"Noto Sans {script}" for script in ("CJK SC", "CJK JP", "CJK KR", "Arabic", "Hebrew", "Devanagari", "Thai")),
    *("WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic"),
    *("Malgun Gothic", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS"),
)

_RC: Final[dict[str, Any]] = {
    "font.family": ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in fontManager.get_font_names())],
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$x_1$"
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": HEADLINE,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.pad": 6.5,  # points, so that the two labels at an origin keep apart
    "xtick.labelsize": SMALL + 0.5,
    "ytick.labelsize": SMALL + 0.5,
    "legend.frameon": False,
    "legend.fontsize": TEXT,
}

# A decorator: matplotlib's own defaults, then ours, so that a reader's matplotlibrc changes nothing in our figures, and
# nothing of the caller's is changed. Saving needs it as well as building, as ticks are made while drawing.
styled = matplotlib.style.context(["default", _RC])


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Let a script that no font has be drawn as boxes, without a warning for each letter; the page has the words."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


@boxes_for_missing_glyphs()
def width_of(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line of text is drawn, in inches, at a font size in points."""
    points, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(points) / 72 * 1.03  # drawn glyphs are moved to whole pixels, which may make a line a little wider


def shorten(text: str, longest: int = 24) -> str:
    """One line of at most `longest` characters, with an ellipsis in place of what is left out."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip(" …") + "…"


def fit(text: str, inches: float, size: float, weight: str = "normal", frame: str = "{}") -> str:
    """`frame` with `text` put in at ``{}``, the text shortened until the whole is no wider than `inches`."""
    line = " ".join(text.split())

    def framed(longest: int) -> str:
        return frame.replace("{}", shorten(line, longest))

    if width_of(framed(len(line)), size, weight) <= inches:
        return framed(len(line))
    lengths = range(1, len(line))
    too_wide = bisect(lengths, inches, key=lambda longest: width_of(framed(longest), size, weight))
    return framed(lengths[max(too_wide - 1, 0)]) if lengths else framed(len(line))


def wrap(text: str, inches: float, size: float) -> str:
    """`text` broken into lines of about `inches`."""
    mean_width = width_of(text, size) / max(len(text), 1)
    return textwrap.fill(text, max(20, int(inches / mean_width))) if mean_width else text


def canvas(width: float, height: float) -> Figure:
    """An empty figure for a plot, in inches, with a layout that keeps its texts apart and off the edges."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.09))


def headline(axes: Axes, text: str, detail: str = "") -> None:
    """What one sees, in bold above the left end of the axes; `detail` below it, in lines of 7 inches."""
    lines = wrap(detail, 7, TEXT)
    axes.annotate(lines, (0, 1), (0, 7), "axes fraction", textcoords="offset points", va="bottom", color=MUTED)
    below = (lines.count("\n") + 1) * TEXT * 1.25 + 6 if lines else 0
    axes.set_title(text, loc="left", pad=8 + below)


def light_grid(axes: Axes) -> None:
    """A grid to read values off, and no tick marks beside it."""
    axes.grid(visible=True)
    axes.tick_params(length=0)


@styled
def message(text: str, detail: str = "") -> Figure:
    """A figure that says in words why there is nothing to draw."""
    lines = wrap(detail, 6.3, TEXT)
    height = 1.1 + 0.17 * lines.count("\n")
    figure = Figure(figsize=(7, height))
    figure.text(0.03, 1 - 0.28 / height, fit(text, 6.6, HEADLINE, "bold"), size=HEADLINE, weight="bold", va="top")
    figure.text(0.03, 1 - 0.6 / height, lines, color=MUTED, va="top")
    return figure
