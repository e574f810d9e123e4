"""What a person should know of a run before trusting its model or its maps, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xaitool.accuracy import Accuracy, with_bounds
from xaitool.judge.shortcut import Effect, Finding
from xaitool.judge.verdict import FEWEST, Comparison, Coverage
from xaitool.percent import percent
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
    return [
        *_shortcut(run.finding),
        *_model(run),
        *_missing(run.journal["stages"]),
        *_unjudged(run),
        *_maps(run.verdicts),
    ]


def _shortcut(found: Finding | None) -> Iterator[str]:
    if not found or found.cheats is False:
        return
    target = f"the planted shortcut to “{found.target}”"
    if found.cheats is None:
        yield f"whether the model uses {target} cannot be told from these images"
        return
    showing = [label for label, each in found.pointing.items() if each.shows]
    shown = f"{listed(showing)} {'show' if len(showing) > 1 else 'shows'} it" if showing else "no maps show it"
    yield f"the model uses {target}: {' and '.join(_uses(found.effect))}; {shown}"


def _uses(effect: Effect) -> Iterator[str]:
    """What the patch does, where it does enough to count."""
    if effect.takes:
        yield (
            f"it takes {percent(effect.taken.with_patch, 0)} of the images of other classes for one when they have the "
            f"patch, {percent(effect.taken.without, 0)} when they have not"
        )
    if effect.needs:
        yield (
            f"it recognises {percent(effect.own.with_patch, 0)} of the class's own images when they have the patch, "
            f"{percent(effect.own.without, 0)} when they have not"
        )


def _model(run: Run) -> Iterator[str]:
    """What the figures of training and test say against the model, or against the labels."""
    if not (run.folder / "metrics.json").is_file():
        return
    if not run.trains and not run.journal["stages"]["model"]["weights"]:
        yield "the model was not trained, and its weights are random: it knows nothing"
    metrics = run.metrics
    accuracy = Accuracy.of(metrics)
    if not accuracy.beats_chance:
        yield (
            f"the model is not clearly better than {accuracy.guess()}, which is right about "
            f"{percent(accuracy.chance)} of the test images: its accuracy is {with_bounds(accuracy.share)}, with its "
            "95% interval, and the explanations of a model that guesses explain nothing"
        )
    last = run.history[-1] if run.trained else None
    if last and last["train_accuracy"] - last["test_accuracy"] >= OVERFIT:
        yield (
            f"the model overfits: it gets {percent(last['train_accuracy'])} of the training images right, but "
            f"{percent(last['test_accuracy'])} of the test images"
        )
    if metrics["calibration"]["ece"] >= MISCALIBRATED:
        yield _miscalibrated(metrics)
    noise = run.triage["label_noise"] if run.triage else {"suspect": 0}
    suspect = 0 if noise.get("withheld") else noise["suspect"]
    if suspect and suspect >= NOISY * metrics["misclassified"]:
        yield f"{suspect:,} of the {metrics['misclassified']:,} mistakes may be the label's (a guess)"


def _miscalibrated(metrics: Mapping[str, Any]) -> str:
    """In which direction confidences mislead, on the whole; where they do in both, that."""
    ece, confidence = metrics["calibration"]["ece"], metrics["calibration"]["confidence"]
    figures = f"its mean confidence is {percent(confidence)}, its accuracy {percent(metrics['accuracy'])}"
    # What is too sure and what is not sure enough make up for one another in the mean, but not in the error.
    if abs(confidence - metrics["accuracy"]) < ece / 2:
        return (
            f"the model is too sure of some images and not sure enough of others: {figures}, but its calibration error "
            f"{percent(ece)}"
        )
    return f"the model is {'more' if confidence > metrics['accuracy'] else 'less'} sure than right: {figures}"


def _missing(stages: Mapping[str, Any]) -> Iterator[str]:
    for stage, missing in (("explain", "gave no maps"), ("judge", "was not judged")):
        for label in stages.get(stage, {}).get("failed", {}):
            yield f"{label} {missing}"


def _unjudged(run: Run) -> Iterator[str]:
    """That nothing was judged although it was to be, where the test images are too few for it."""
    if not run.did("explain") or run.did("judge"):
        return
    count = run.journal["stages"]["data"]["test"]
    if count < FEWEST <= run.settings["explain"].get("judge", {}).get("images", 0):
        yield f"no explanation was judged: {count:,} test images are too few, and it takes {FEWEST} to tell anything"


def _maps(verdicts: Mapping[str, Any]) -> Iterator[str]:
    """Which explainers are not to be trusted, those with the same fault together, and which layers are better."""
    doubted: dict[tuple[str, str, str], list[str]] = {}
    for label, each in verdicts.items():
        for doubt in _doubts(each):
            doubted.setdefault(doubt, []).append(label)
    for (one, several, why), labels in doubted.items():
        yield f"{listed(labels)} {one if len(labels) == 1 else several}{why}"
    for label, each in verdicts.items():
        layers = each.get("layers") or {}
        if layers.get("better"):
            yield f"{label} looks at {layers['used']}; {layers['better']} would be clearly more faithful"


def _doubts(verdict: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Why an explainer's maps should not be trusted: what is said of one, what of several, and how both go on."""
    found = []
    match verdict["faithfulness"]:
        case "says nothing":
            found.append(("is not faithful", "are not faithful", ": maps of other images do as well"))
        case "image-specific":
            found.append(_outdone(verdict))
        case "too few images":
            found.append(("is not judged", "are not judged", " on enough maps to tell"))
        case "faithful" if (part := _coverage(verdict)) and not part.enough:
            found.append(("is faithful", "are faithful", f" on {part.scored:,} of {part.images:,} images only"))
    if verdict["model"] == "ignores the weights":
        found.append(
            (
                "ignores the model's weights",
                "ignore the model's weights",
                ": with random ones the maps stay much the same, so they do not explain the model",
            )
        )
    return found


def _outdone(verdict: Mapping[str, Any]) -> tuple[str, str, str]:
    """How it does against the control that it does not beat."""
    rival = next(Comparison.from_dict(each) for each in verdict["controls"] if each["name"] == verdict["rival"])
    one, several = rival.name, rival.name.replace("its own", "their own")
    if rival.better:
        return f"is not faithful: {one} does better", f"are not faithful: {several} does better", ""
    return f"is not faithful: not clearly better than {one}", f"are not faithful: not clearly better than {several}", ""


def _coverage(verdict: Mapping[str, Any]) -> Coverage | None:
    return Coverage.from_dict(verdict["coverage"]) if verdict["coverage"] else None


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
