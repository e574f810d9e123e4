"""Folders of runs, made up: three classes, ten test images, a map of some of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xaitool import Run

CLASSES = ["cat", "dog", "frog"]
IDS = [f"test/{number:05d}" for number in range(10)]
# Of both runs; each run's predictions are given as a string, "c" for cat and so on.
TRUE = "ccccdddfff"

RECIPE: dict[str, Any] = {
    "recipe": 1,
    "name": "made-up",
    "seed": 1,
    "train": {"epochs": 3, "batch_size": 64, "optimizer": {"name": "sgd"}},
    "explain": {
        "targets": ["predicted", "true"],
        "methods": [{"as": "gradcam", "use": "xaitool/gradcam", "layers": "auto"}],
        "metrics": [{"as": "abpc", "use": "xaitool/abpc"}],
    },
    "report": {"html": True, "svg": False},
    "locked": {
        "xaitool": "0.1.0",
        "python": "3.11.7",
        "distributions": {"xaitool": "0.1.0"},
        "packages": {"torch": "2.15.0"},
    },
}
STAGES = ["data", "model", "tune", "fit", "evaluate", "explain", "judge"]
LEAVES = {
    "tune": ["lr_finder.json"],
    "fit": ["history.jsonl", "lr_schedule.json"],
    "evaluate": ["metrics.json", "predictions.csv"],
    "explain": ["explanations"],
    "judge": ["judged", "verdicts.json"],
}
COLUMNS = ("id", "true", "predicted", "correct", "confidence", "true_probability", "runner_up")


def make_run(
    folder: Path,
    predicted: str = TRUE,
    *,
    true: str = TRUE,
    ids: list[str] = IDS,
    classes: list[str] = CLASSES,
    recipe: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    fingerprint: str = "f" * 64,
    state: str = "finished",
    started: str = "2026-11-23T00:05:15+00:00",
    epochs: int = 3,
    explained: tuple[int, ...] = (0, 1, 4),
    judged: tuple[int, ...] = (2, 3, 5, 7),
    methods: tuple[str, ...] = ("gradcam",),
    maps_seed: int = 1,
    pictures_seed: int = 9,
    side: int = 6,
    score: tuple[float, float, float] = (0.3, 0.2, 0.4),
    words: str = "faithful; finds the object",
) -> Path:
    """A run's folder. explained, judged: rows of the images that have maps, drawn from `maps_seed` and the row."""
    folder.mkdir(parents=True)
    name_of = {name[0]: name for name in classes}
    is_, taken = [name_of[each] for each in true], [name_of[each] for each in predicted]
    recipe = RECIPE if recipe is None else recipe
    stages = {
        "data": {
            "train": 100,
            "test": len(ids),
            "classes": classes,
            "mean": [0.5] * 3,
            "std": [0.2] * 3,
            "fingerprint": fingerprint,
            "seconds": 1.0,
        },
        "model": {"parameters": 1000, "cam_layers": ["layer1", "layer2"], "summary": "ResNet", "seconds": 1.0},
        "tune": {"max_lr": 0.1, "note": "given", "seconds": 1.0},
        "fit": {"epochs": epochs, "seconds": 65.0},
        "evaluate": {"seconds": 1.0},
        "explain": {"images": len(explained), "methods": list(methods), "failed": {}, "seconds": 1.0},
    }
    journal = {
        "format": 1,
        "done": [*stages, "judge"],
        "name": recipe["name"],
        "state": state,
        "stage": None,
        "started": started,
        "finished": started,
    }
    _json(folder / "run.json", {**journal, "error": None, "stages": stages})
    (folder / "recipe.lock.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    _json(folder / "environment.json", _environment() | (environment or {}))
    history = [
        {
            "epoch": epoch,
            "lr": 0.1,
            "train_loss": 1 / epoch,
            "train_accuracy": 0.5,
            "test_loss": 2 / epoch,
            "test_accuracy": 0.5 + 0.1 * epoch,
            "seconds": 1.0,
            "images_per_second": 100.0,
        }
        for epoch in range(1, epochs + 1)
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in history))
    _json(folder / "lr_finder.json", {"lrs": [], "losses": [], "max_lr": 0.1, "note": "given"})
    _json(folder / "lr_schedule.json", {"lrs": [0.01, 0.1, 0.05, 0.001] * epochs})
    _json(folder / "metrics.json", _metrics(is_, taken, classes))
    rows = [_row(*each, classes) for each in zip(ids, is_, taken, strict=True)]
    _table(folder / "predictions.csv", rows)

    def maps_of(some: tuple[int, ...]) -> Any:
        drawn = [np.random.default_rng((maps_seed, row)).random((side, side), dtype=np.float32) for row in some]
        return np.array(drawn).reshape(-1, side, side)

    pictures = np.random.default_rng(pictures_seed).integers(0, 256, (len(ids), side, side, 3), dtype=np.uint8)
    _table(folder / "explanations" / "images.csv", [rows[row] for row in explained])
    np.save(folder / "explanations" / "images.npy", pictures[list(explained)])
    for method in methods:
        (folder / "explanations" / method).mkdir()
        for target in ("predicted", "true"):
            np.save(folder / "explanations" / method / f"{target}.npy", maps_of(explained))
    if judged:
        _table(folder / "judged" / "images.csv", [rows[row] for row in judged])
        np.save(folder / "judged" / "images.npy", pictures[list(judged)])
        for method in methods:
            np.save(folder / "judged" / f"{method}.npy", maps_of(judged))
        _json(folder / "judged" / "curves.json", {method: {"metrics": {}, "controls": {}} for method in methods})
        _json(folder / "verdicts.json", {method: _verdict(words, score, len(judged)) for method in methods})
    return folder


def stopped(folder: Path, stage: str, state: str = "failed") -> Run:
    """The run as if it had stopped in a stage: what later stages, and it itself, leave is not there."""
    for late in STAGES[STAGES.index(stage) :]:
        for name in LEAVES.get(late, []):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    stages = json.loads((folder / "run.json").read_text())["stages"]
    done = {name: stages[name] for name in STAGES[: STAGES.index(stage) + 1] if name in stages}
    stopped = {
        "state": state,
        "stage": stage,
        "error": "no more ink",
        "stages": done,
        "done": [name for name in done if name != stage],
    }
    _json(folder / "run.json", json.loads((folder / "run.json").read_text()) | stopped)
    return Run(folder)


def _environment() -> dict[str, Any]:
    return {
        "python": "3.11.7",
        "platform": "Linux",
        "cpu": {"machine": "x86_64", "cores": 2, "threads": 2},
        "device": "CPU",
        "cuda": None,
        "cudnn": None,
        "workers": 0,
        "command": ["xaitool", "run", "made-up"],
        "commit": None,
        "packages": {"torch": "2.15.0"},
    }


def _row(name: str, true: str, predicted: str, classes: list[str]) -> dict[str, Any]:
    right = true == predicted
    runner_up = next(each for each in classes if each != predicted) if right else true
    values = (name, true, predicted, int(right), 0.75, 0.75 if right else 0.125, runner_up)
    return dict(zip(COLUMNS, values, strict=True))


def _metrics(true: list[str], predicted: list[str], classes: list[str]) -> dict[str, Any]:
    confusion = [
        [sum(pair == (row, column) for pair in zip(true, predicted, strict=True)) for column in classes]
        for row in classes
    ]
    right = [confusion[index][index] for index in range(len(classes))]
    named = [sum(row[index] for row in confusion) for index in range(len(classes))]
    bins = [
        {"low": index / 15, "high": (index + 1) / 15, "images": 0, "accuracy": None, "confidence": None}
        for index in range(15)
    ]
    bins[11] |= {"images": len(true), "accuracy": sum(right) / len(true), "confidence": 0.75}
    return {
        "accuracy": sum(right) / len(true),
        "loss": 0.5,
        "images": len(true),
        "misclassified": len(true) - sum(right),
        "per_class": {
            name: {
                "recall": right[index] / max(1, sum(confusion[index])),
                "precision": right[index] / max(1, named[index]),
                "images": sum(confusion[index]),
                "predicted": named[index],
                "confidence": 0.75,
            }
            for index, name in enumerate(classes)
        },
        "calibration": {"ece": 0.05, "confidence": 0.75, "bins": bins},
        "confusion": confusion,
    }


def _verdict(words: str, score: tuple[float, float, float], count: int) -> dict[str, Any]:
    mean, low, high = score
    measure = {
        "metric": "abpc",
        "aspect": "faithfulness",
        "direction": "higher",
        "range": [-1.0, 1.0],
        "mean": mean,
        "low": low,
        "high": high,
        "n": count,
        "chance": None,
        "left_out": {},
    }
    return {
        "words": words,
        "faithfulness": "faithful",
        "rival": None,
        "images_needed": None,
        "coverage": None,
        "model": None,
        "object": "finds the object",
        "scores": [measure],
        "controls": [],
        "object_controls": [],
        "layers": None,
        "failed": None,
    }


def _json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
