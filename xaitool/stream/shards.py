"""Explaining files shard by shard: a folder of a thousand images or so at a time, which appears whole or not at all."""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaitool.api.explain import predict
from xaitool.api.maps import maps_by_method
from xaitool.api.saving import Row, save_pair, table
from xaitool.characters import printable
from xaitool.contracts import display
from xaitool.data.decode import decode
from xaitool.data.preprocess import Preprocess
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime
from xaitool.errors import ImageError
from xaitool.figures.explanations import is_empty
from xaitool.files import as_usual, filename
from xaitool.stream.listing import Found
from xaitool.stream.source import Source

# Images that the model is shown at a time, and that are in memory.
BATCH = 32

_UNFINISHED = ".unfinished"


@dataclass
class Shard:
    """What came of some files: a row for each that was explained, and why the others were skipped: (file, reason).

    empty: how many maps have no evidence in them, by method; only of methods that gave such.
    """

    rows: list[Row] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    empty: Counter[str] = field(default_factory=Counter)

    def skipped_table(self, header: bool) -> str:
        """``skipped.csv``, or a part of it without the line that names the columns."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("file", "reason")] * header + self.skipped)
        return text.getvalue()


def shard_name(number: int) -> str:
    """The folder of a shard: ``00012``."""
    return f"{number:05d}"


def explain_shard(
    source: Source,
    files: Sequence[Found],
    target: str,
    folder: Path,
    *,
    seed: int,
    runtime: Runtime,
    done: Callable[[int], None],
) -> Shard:
    """Explain some files: overlays, maps and ``predictions.csv`` in `folder`, which is made, or made anew.

    target: ``predicted``, ``runner_up``, ``true`` (the class that a file's folder is called after) or a class.
    Raises OSError where it cannot be written, and what explaining raises.
    """
    shard, beside = Shard(), folder.with_name(_UNFINISHED)
    for stale in (beside, folder):
        shutil.rmtree(stale, ignore_errors=True)
    beside.mkdir()
    as_usual(beside, 0o777)
    for number, (some, images) in enumerate(_batches(files, source.preprocess, runtime, shard.skipped)):
        logits = predict(source.subject.module, images, runtime)
        targets = _targets(target, logits, some, source.classes)
        rows = Row.of([each.number for each in some], [each.name for each in some], logits, targets, source.classes)
        pictures = _pictures(images, source.preprocess)
        maps = maps_by_method(
            source.methods,
            source.explainers,
            source.subject,
            images,
            targets,
            seed=derive(seed, number),
            place=runtime,
        )
        for label, of_method in maps.items():
            for row, picture, each in zip(rows, pictures, of_method.numpy(), strict=True):
                save_pair(beside / f"{row.stem}.{filename(label)}", picture, each)
                if is_empty(each):
                    shard.empty[label] += 1
        shard.rows += rows
        done(len(some))
    (beside / "predictions.csv").write_text(table(shard.rows), "utf-8")
    beside.rename(folder)
    return shard


def _batches(
    files: Sequence[Found], preprocess: Preprocess, runtime: Runtime, skipped: list[tuple[str, str]]
) -> Iterator[tuple[list[Found], Tensor]]:
    """The files that can be read, and their images (N×C×H×W), a batch at a time; the others go to `skipped`."""
    loader: DataLoader[Any] = DataLoader(
        _Files(files, preprocess),
        batch_size=BATCH,
        num_workers=min(runtime.workers, max(1, len(files) // BATCH)) if runtime.workers else 0,
        multiprocessing_context="fork" if runtime.workers else None,
        collate_fn=list,
        generator=torch.Generator(),  # or the loader would draw from the caller's
    )
    for batch in loader:
        good = [(files[index], image) for index, image, reason in batch if not reason]
        skipped += [(files[index].name, printable(reason)) for index, _, reason in batch if reason]
        if good:
            yield [file for file, _ in good], torch.stack([image for _, image in good])


class _Files(Dataset[Any]):
    """Item i: i, the image (C×H×W) and "", or i, None and why it cannot be read."""

    def __init__(self, files: Sequence[Found], preprocess: Preprocess) -> None:
        self.files = files
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[int, Tensor | None, str]:
        try:
            return index, self.preprocess(decode(self.files[index].path)), ""
        except ImageError as error:
            return index, None, error.reason
        except ValueError as error:
            return index, None, str(error)


def _targets(target: str, logits: Tensor, files: Sequence[Found], classes: Sequence[str]) -> Tensor:
    match target:
        case "predicted":
            return logits.argmax(1)
        case "runner_up":
            return logits.topk(2, dim=1).indices[:, 1]
        case "true":
            return torch.tensor([classes.index(each.folder) for each in files], dtype=torch.int64)
    return torch.full((len(files),), classes.index(target), dtype=torch.int64)


def _pictures(images: Tensor, preprocess: Preprocess) -> np.ndarray[Any, Any]:
    """As a person sees what the model saw: N×H×W×3 uint8."""
    shown = display(images, preprocess.mean, preprocess.std)
    shown = shown.expand(-1, 3, -1, -1) if shown.shape[1] == 1 else shown
    return (shown.permute(0, 2, 3, 1) * 255).round().byte().numpy()
