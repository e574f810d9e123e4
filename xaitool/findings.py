"""What a person should know of a run before trusting its model or its maps, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xaitool.results import Run

# Points that the training images are ahead of the test images by, where the model has learnt them by heart.
OVERFIT = 0.10
# Expected calibration error from which on confidences mislead.
MISCALIBRATED = 0.10
# Of the mistakes, those whose label may be wrong: from here on a reader should look at the labels first.
NOISY = 0.10


def findings(run: Run) -> list[str]:
    """One sentence a finding, without capital and full stop; what most changes the picture comes first."""
    return [*good_news(run), *warnings(run)]


def good_news(run: Run) -> list[str]:
    """What was looked for and is not there."""
    found = run.shortcut
    if not found or found["cheats"] is not False:
        return []
    return [f"the model does not use the planted shortcut to “{found['target']}”"]


def warnings(run: Run) -> list[str]:
    """What speaks against the model, the labels or the maps."""
    return [*_shortcut(run.shortcut), *_model(run), *_missing(run.journal["stages"]), *_maps(run.verdicts)]


def _shortcut(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found or found["cheats"] is False:
        return
    target = f"the planted shortcut to “{found['target']}”"
    match found["cheats"]:
        case True:
            taken = found["effect"]["taken"]
            without, with_patch = (f"{taken[each]:.0%}" for each in ("without_patch", "with_patch"))
            showing = [label for label, each in found["explainers"].items() if each["shows"]]
            shown = f"{listed(showing)} {'show' if len(showing) > 1 else 'shows'} it" if showing else "no maps show it"
            yield (
                f"the model uses {target}: it takes {with_patch} of the images of other classes for one when they have "
                f"the patch, {without} when they have not; {shown}"
            )
        case _:
            yield f"whether the model uses {target} cannot be told from these images"


def _model(run: Run) -> Iterator[str]:
    """What the figures of training and test say against the model, or against the labels."""
    if not (run.folder / "metrics.json").is_file():
        return
    if not run.trains and not run.journal["stages"]["model"]["weights"]:
        yield "the model was not trained, and its weights are random: it knows nothing"
    metrics = run.metrics
    last = run.history[-1] if run.trained else None
    if last and last["train_accuracy"] - last["test_accuracy"] >= OVERFIT:
        yield (
            f"the model overfits: it gets {last['train_accuracy']:.1%} of the training images right, but "
            f"{last['test_accuracy']:.1%} of the test images"
        )
    calibration = metrics["calibration"]
    if calibration["ece"] >= MISCALIBRATED:
        surer = calibration["confidence"] > metrics["accuracy"]
        yield (
            f"the model is {'more' if surer else 'less'} sure than right: its mean confidence is "
            f"{calibration['confidence']:.1%}, its accuracy {metrics['accuracy']:.1%}"
        )
    suspect = run.triage["label_noise"]["suspect"] if run.triage else 0
    if suspect and suspect >= NOISY * metrics["misclassified"]:
        yield f"{suspect:,} of the {metrics['misclassified']:,} mistakes may be the label's (a guess)"


def _missing(stages: Mapping[str, Any]) -> Iterator[str]:
    for stage, missing in (("explain", "gave no maps"), ("judge", "was not judged")):
        for label in stages.get(stage, {}).get("failed", {}):
            yield f"{label} {missing}"


def _maps(verdicts: Mapping[str, Any]) -> Iterator[str]:
    """Which explainers are not to be trusted, those with the same fault together, and which layers are better."""
    doubted: dict[tuple[str, str, str], list[str]] = {}
    for label, each in verdicts.items():
        for doubt in _doubts(each):
            doubted.setdefault(doubt, []).append(label)
    for (one, more, why), labels in doubted.items():
        yield f"{listed(labels)} {one if len(labels) == 1 else more} {why}"
    for label, each in verdicts.items():
        layers = each.get("layers") or {}
        if layers.get("better"):
            yield f"{label} looks at {layers['used']}; {layers['better']} would be clearly more faithful"


def _doubts(verdict: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Why an explainer's maps should not be trusted: the verb for one, the verb for several, and what follows it."""
    doubts = {
        "says nothing": "not faithful: maps of other images do as well",
        "image-specific": f"not faithful: {verdict['rival']} does as well or better",
        "too few images": "not judged on enough maps to tell",
    }
    faithfulness = doubts.get(verdict["faithfulness"] or "")
    found = [("is", "are", faithfulness)] if faithfulness else []
    return found + [("ignores", "ignore", "the model's weights")] * (verdict["model"] == "ignores the weights")


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
