"""The report's gallery: the explained images with their maps, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xaitool import figures
from xaitool.report.drawing import Drawing
from xaitool.report.gallery import ImageCurves, Item, gallery
from xaitool.report.model import Section
from xaitool.report.sprites import BUDGET
from xaitool.report.verdicts import layers_in_use

if TYPE_CHECKING:
    from xaitool.results import Run


# Images in a figure, which is for papers and slides; the gallery has them all.
_FIGURED = 20

_TITLE = "What does it look at?"

# The metrics' names of curves, in the words that the section on the verdicts has for them.
_ORDERS = {
    "deletion": "most relevant pixels first",
    "morf": "most relevant pixels first",
    "insertion": "least relevant pixels first",
    "lerf": "least relevant pixels first",
}


def gallery_sections(run: Run, draw: Drawing, budget: int = BUDGET) -> list[Section]:
    """All explained images; the same as figures, method by method. budget: bytes of the page for the gallery."""
    if not run.tested:
        return []
    if not run.explains:
        return [Section(_TITLE, "The run did not come to its explanations.", name="explanations")]
    maps = {method: {target: run.maps(method, target) for target in run.targets} for method in run.methods}
    if draw.keeps:
        _keep_figures(run, draw, maps)
    failed = run.journal["stages"].get("explain", {}).get("failed", {})
    said = [f"{method} gave no maps: {reason}." for method, reason in failed.items()]
    if maps:
        said += ["Bright is what speaks for the class named with a map. Each map has a scale of its own.", _layers(run)]
    page = gallery(
        items_of(run),
        run.images,
        maps,
        {name: curves for name in maps if (curves := _curves(run, name))},
        classes=list(run.metrics["per_class"]),
        groups=[each["name"] for each in run.triage["groups"]] if run.triage else (),
        budget=budget,
    )
    return [Section(_TITLE, " ".join(filter(None, said)), html=page, name="explanations")]


def items_of(run: Run) -> list[Item]:
    """The explained images; of those misclassified, what triage found out."""
    mistakes = {each["id"]: each for each in run.mistakes}
    withheld = bool(run.triage and run.triage["label_noise"].get("withheld"))
    return [
        Item(
            id=each["id"],
            true=each["true"],
            predicted=each["predicted"],
            confidence=float(each["confidence"]),
            true_probability=float(each["true_probability"]),
            runner_up=each["runner_up"],
            group=mistakes.get(each["id"], {}).get("group", ""),
            notes=_notes(mistakes.get(each["id"]), withheld),
        )
        for each in run.explained
    ]


def _notes(mistake: dict[str, str] | None, withheld: bool) -> list[tuple[str, str]]:
    """What triage found out about a mistake. withheld: what it says of its label is not worth saying."""
    if mistake is None:
        return []
    said = [
        ("With the evidence for the predicted class blurred", _then(mistake, "without_predicted_evidence")),
        ("With nothing but the evidence for the true class", _then(mistake, "with_true_evidence_alone")),
        ("Label noise", "" if withheld else mistake["likely_label_noise"]),
    ]
    return [(term, words) for term, words in said if words]


def _then(mistake: dict[str, str], column: str) -> str:
    """What the model says of a mistake when a part of it is blurred; empty where no map could tell which."""
    found = mistake[column]
    if not found:
        return ""
    words = {mistake["true"]: "which is right", mistake["predicted"]: "the same mistake"}
    return f"“{found}”, {words.get(found, 'another mistake')}"


def _layers(run: Run) -> str:
    if run.judged.choices:
        return layers_in_use(run.judged.choices)
    model = run.journal["stages"]["model"]
    grids = {name: "x".join(map(str, size)) for name, size in model.get("cam_grids", {}).items()}
    layers = [f"{name} ({grids[name]})" if name in grids else name for name in model["cam_layers"]]
    if not layers:
        return ""
    return f"A CAM method looks at the layer {layers[-1]}, unless the recipe names others: {', '.join(layers)}."


def _curves(run: Run, method: str) -> ImageCurves | None:
    """Rows for all explained images: of some there is a curve."""
    record = run.curves(method)
    if record is None:
        return None
    fraction, lines = np.array(record["fraction"], dtype=np.float64), {}
    for name in sorted(record.keys() - {"metric", "scores", "fraction"}):
        known = np.array(record[name], dtype=np.float64)
        if name == "insertion":
            # To put the most relevant pixels in is, from right to left, to replace the least relevant ones first.
            known = np.array([np.interp(fraction, 1 - fraction[::-1], row[::-1]) for row in known])
        line = lines[_ORDERS.get(name, name)] = np.full((len(run.explained), len(fraction)), np.nan)
        line[: len(known)] = known
    scores = np.full(len(run.explained), np.nan)
    scores[: len(record["scores"])] = np.array(record["scores"], dtype=np.float64)
    return ImageCurves(record["fraction"], lines, record["metric"], scores.tolist())


def _keep_figures(run: Run, draw: Drawing, maps: dict[str, dict[str, Any]]) -> None:
    """``misclassified.png``, and each method's maps of the first misclassified and of the first correct images."""
    explained, classes = run.explained, list(run.metrics["per_class"])
    true, predicted = (np.array([classes.index(each[key]) for each in explained], int) for key in ("true", "predicted"))
    confidence = np.array([float(each["confidence"]) for each in explained])
    wrong, right = (np.flatnonzero(some)[:_FIGURED] for some in (true != predicted, true == predicted))
    if len(wrong) or not run.metrics["misclassified"]:  # none selected is not the same as none made
        shown = (run.images[wrong], true[wrong], predicted[wrong], confidence[wrong], classes)
        draw.keep("misclassified", figures.mistakes(*shown))
    for method, by_target in maps.items():
        for what, some in (("misclassified", wrong), ("correct", right)):
            if not len(some):
                continue
            # Where the model is right, the predicted class is the true one, and one map says it all.
            twice = {"true"} if what == "correct" and "predicted" in by_target else set()
            kept = {target: each[some] for target, each in by_target.items() if target not in twice}
            about = (run.images[some], true[some], predicted[some], confidence[some], classes)
            draw.keep(f"{method}_{what}", figures.explained(*about, kept, method))
