"""The explained images, to look through: filters, overlays, and each image by itself, in a part of the report's page.

The page has to include ``gallery.css`` in its style and ``gallery.js`` in a script at its end, and to define the
colours --page, --card, --ink, --muted, --line and --accent. All that the script knows it reads from the part's JSON.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import matplotlib
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import Colormap, LinearSegmentedColormap

from xaitool.figures.style import BLUE, VERMILION
from xaitool.report import sprites

Array = npt.NDArray[Any]
Maps = Mapping[str, Mapping[str, Array]]

# The same colours and opacity as in the figures: a page and its figures have to agree.
_EVIDENCE: Final = matplotlib.colormaps["plasma"]
_DIFFERENCE: Final = LinearSegmentedColormap.from_list("true to predicted", [BLUE, "white", VERMILION])
_ALPHA: Final = 0.75


@dataclass(frozen=True)
class Item:
    """An explained image: what it is and what it was taken for.

    confidence: the predicted class's probability; runner_up: the class that comes second. group: of mistakes that are
    alike, say. notes: (term, sentence), shown where the image is seen by itself. models: where the maps are those of
    several models, each model's name, which is the target of its maps, and the class that its map of this image is
    for. remark: what the card says instead of how sure the model is.
    """

    id: str
    true: str
    predicted: str
    confidence: float
    true_probability: float
    runner_up: str
    group: str = ""
    notes: Sequence[tuple[str, str]] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class ImageCurves:
    """What a model still believes of each image while its pixels are replaced.

    fraction: of pixels replaced, S values from 0 to 1. lines: name -> N×S probabilities of the predicted class, a row
    of NaN where nothing was measured. metric: what they were measured by. scores: N of them, NaN where there is none;
    or none at all.
    """

    fraction: Sequence[float]
    lines: Mapping[str, Array]
    metric: str
    scores: Sequence[float] = ()


def gallery(
    items: Sequence[Item],
    pictures: Array,
    maps: Maps,
    curves: Mapping[str, ImageCurves] | None = None,
    *,
    classes: Sequence[str] = (),
    groups: Sequence[str] = (),
    budget: int = sprites.BUDGET,
) -> Markup:
    """The part of a page that shows N explained images.

    pictures: N×H×W×3 uint8. maps: explainer -> target -> N×h×w floats, where a target is ``"predicted"``, ``"true"``,
    ``"runner_up"``, a class or a model of the items'. curves: by explainer. classes, groups: what can be chosen, in
    order; left out, what there is, sorted. budget: bytes that the part may take; see
    :func:`xaitool.report.sprites.fit`.
    Raises ValueError where something is not given for each of the images.
    """
    curves = curves or {}
    _check_lengths(items, pictures, maps, curves)
    count, packed = 0, None
    if items:
        besides = len(_json({"items": _items(items), "curves": _curves(curves, len(items))})) / len(items)
        every_map = [of_target for targets in maps.values() for of_target in targets.values()]
        packed = sprites.fit(pictures, every_map, budget, besides)
        count = packed.count
    shown = items[:count]
    grouped = [item.group for item in shown if item.group]
    environment = Environment(
        loader=PackageLoader("xaitool.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("gallery.html").render(
        count=count,
        total=len(items),
        explainers=list(maps),
        classes=_choices(classes, ((item.true, item.predicted) for item in shown)),
        of_true=Counter(item.true for item in shown),
        of_predicted=Counter(item.predicted for item in shown),
        groups=_choices(groups, ((each,) for each in grouped)) if grouped else [],
        of_group=Counter(item.group for item in shown),
        both_results=len({item.true == item.predicted for item in shown}) > 1,
        opacity=round(100 * _ALPHA),
        compares=any({"predicted", "true"} <= targets.keys() for targets in maps.values()),
        data=_json(_data(shown, packed, maps, curves)),
    )
    return Markup(html)  # noqa: S704 (Jinja2 has escaped it already)


def _check_lengths(items: Sequence[Item], pictures: Array, maps: Maps, curves: Mapping[str, ImageCurves]) -> None:
    given = {"pictures": len(pictures)}
    given |= {
        f"maps of {label} for {target}": len(of) for label, targets in maps.items() for target, of in targets.items()
    }
    given |= {
        f"curves of {label}, {name}": len(of) for label, each in curves.items() for name, of in each.lines.items()
    }
    for name, length in given.items():
        if length != len(items):
            raise ValueError(f"{name}: {length} given for {len(items)} images")


def _choices(order: Sequence[str], used: Iterable[tuple[str, ...]]) -> list[str]:
    """The values to choose from: those given, in their order, and whatever else there is, sorted."""
    others = {value for values in used for value in values} - set(order)
    return [*order, *sorted(others)]


def _data(shown: Sequence[Item], packed: sprites.Packed | None, maps: Maps, curves: Mapping[str, ImageCurves]) -> Any:
    """All that the script has to know."""
    packed_maps = iter(packed.maps if packed else ())
    return {
        "items": _items(shown),
        "pictures": asdict(packed.pictures) if packed else None,
        "explainers": [
            {
                "name": label,
                "targets": [{"target": target, **asdict(of)} for target, of in zip(targets, packed_maps, strict=False)],
            }
            for label, targets in maps.items()
        ],
        "curves": _curves(curves, len(shown)),
        "colours": {"evidence": _table(_EVIDENCE), "difference": _table(_DIFFERENCE)},
    }


def _items(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(item),
            "confidence": _number(item.confidence),
            "true_probability": _number(item.true_probability),
        }
        for item in items
    ]


def _curves(curves: Mapping[str, ImageCurves], count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": label,
            "metric": each.metric,
            "fraction": [_number(value) for value in each.fraction],
            "lines": [{"name": name, "rows": [_row(row) for row in of[:count]]} for name, of in each.lines.items()],
            "scores": [_number(value) for value in each.scores[:count]],
        }
        for label, each in curves.items()
    ]


def _row(values: Array) -> list[float | None] | None:
    """A curve, with None where it has no value; None for one that has none at all."""
    row = [_number(value) for value in values]
    return row if any(value is not None for value in row) else None


def _number(value: float) -> float | None:
    """JSON knows no NaN; four digits are more than can be seen."""
    return round(float(value), 4) if math.isfinite(value) else None


def _table(colours: Colormap) -> str:
    """A colour map's 256 colours: red, green, blue, a byte each, in base64."""
    return base64.b64encode(colours(np.arange(256), bytes=True)[:, :3].tobytes()).decode("ascii")


def _json(data: Any) -> Markup:
    r"""JSON for a ``<script>``: nothing in it can end the element: <, > and & are written \uXXXX, as is non-ASCII."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (none of what is special to HTML is left in it)
