"""The report on explained files: what was predicted, a look at some of them, what was skipped, how it was done."""

from __future__ import annotations

import csv
import hashlib
import heapq
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from xaitool.api.saving import Row
from xaitool.data.decode import decode
from xaitool.errors import ImageError
from xaitool.figures.explanations import is_empty
from xaitool.files import filename, write_whole
from xaitool.recipe.resolve import Resolved
from xaitool.report.model import ReportData, Section, Table
from xaitool.report.render import embedded, part, render
from xaitool.stream.listing import Listing
from xaitool.stream.manifest import Manifest
from xaitool.stream.shards import _pictures, shard_name
from xaitool.stream.source import Source

# Images that the page shows at most, pixels of their longer side, and bytes of all of them: a page that can be mailed.
_SHOWN, _SIDE, _BYTES = 48, 192, 20_000_000
# Rows of the tables of classes and of skipped files.
_ROWS = 100


@dataclass(frozen=True)
class Shown:
    """An image on the page: what is said of it, itself as the model saw it (if its file is still there), its maps.

    overlays: (method, picture); empty: methods whose map has no evidence in it.
    """

    row: Row
    picture: str | None
    overlays: list[tuple[str, str]]
    empty: set[str]
    small: bool

    @property
    def takes(self) -> int:
        """Bytes of the page."""
        return len(self.picture or "") + sum(len(overlay) for _, overlay in self.overlays)


def write_page(source: Source, manifest: Manifest, listing: Listing, folder: Path, size: int) -> None:
    """Write ``report.html`` from what lies in the folder. Raises OSError."""
    chosen = sorted(heapq.nsmallest(_SHOWN, _rows(folder), key=_drawn), key=lambda row: row.number)
    shown = list(_fitting(_shown(row, source, listing, folder / shard_name(row.number // size)) for row in chosen))
    explained = f"{manifest.explained:,} image{'s' * (manifest.explained != 1)}"
    sections = [
        Section("The images", _which(manifest, len(shown)), html=part("explained_files.html", images=shown)),
        *_predictions(folder),
        *_trust(source),
        *_skipped(folder, manifest),
        Section("How this was made", table=_how(source, manifest), parts=[_whole(manifest)]),
    ]
    report = ReportData(
        name=f"{source.title}: {explained} explained",
        created=f"{datetime.now():%d %B %Y, %H:%M}".lstrip("0"),
        sentence=f"Where {source.title} sees its evidence for {_target(manifest)} in {explained}.",
        facts=[
            ("Explained", explained),
            ("Skipped", f"{manifest.skipped:,} file{'s' * (manifest.skipped != 1)}"),
            *_empty(manifest),
            ("Classes", f"{len(source.classes):,}"),
            *((f"{label} looks at", used) for label, used in source.layers.items()),
        ],
        warnings=source.warnings,
        sections=sections,
    )
    write_whole(folder / "report.html", render(report, scripted=False).encode(errors="replace"))


def _empty(manifest: Manifest) -> list[tuple[str, str]]:
    """How many maps say nothing, where there are such."""
    counts = ", ".join(f"{count:,} by {label}" for label, count in manifest.empty.items())
    return [("Empty maps", counts)] if counts else []


def _rows(folder: Path) -> Iterator[Row]:
    """What ``predictions.csv`` says, a row at a time."""
    numbers = {"number": int, "confidence": float, "runner_up_probability": float, "target_probability": float}
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for cells in csv.DictReader(file):
            yield Row(**{key: numbers.get(key, str)(value) for key, value in cells.items()})


def _drawn(row: Row) -> bytes:
    """By this an image's place in the draw follows from its name alone, however many there are."""
    return hashlib.blake2b(f"{row.number}/{row.file}".encode(), digest_size=8).digest()


def _fitting(images: Iterable[Shown]) -> Iterator[Shown]:
    """The first images that a page has room for; one, however large it is."""
    taken = 0
    for image in images:
        if taken and taken + image.takes > _BYTES:
            return
        taken += image.takes
        yield image


def _shown(row: Row, source: Source, listing: Listing, shard: Path) -> Shown:
    picture, largest = None, 0
    for file in listing.part(row.number, row.number + 1):
        try:
            image = source.preprocess(decode(file.path))
        except (ImageError, ValueError):  # taken away or changed since it was explained
            continue
        picture = Image.fromarray(_pictures(image[None], source.preprocess)[0])
        largest = max(picture.size)
    overlays, empty = [], set()
    for label in source.methods:
        pair = shard / f"{row.stem}.{filename(label)}"
        if is_empty(np.load(pair.with_name(f"{pair.name}.npy"))):
            empty.add(label)
        with Image.open(pair.with_name(f"{pair.name}.png")) as overlay:
            overlay.load()
            largest = max(overlay.size)
            overlays.append((label, _small(overlay)))
    return Shown(row, _small(picture) if picture else None, overlays, empty, largest < 96)


def _small(picture: Image.Image) -> str:
    picture = picture.copy()
    picture.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return embedded(content.getvalue())


def _which(manifest: Manifest, shown: int) -> str:
    if shown == manifest.explained:
        return ""
    return f"{shown} of {manifest.explained:,}, drawn at random; all are in the folders beside this page."


def _predictions(folder: Path) -> Iterator[Section]:
    counts: Counter[str] = Counter()
    sure: defaultdict[str, float] = defaultdict(float)
    for row in _rows(folder):
        counts[row.predicted] += 1
        sure[row.predicted] += row.confidence
    if not counts:
        return
    rows = [(name, f"{count:,}", f"{sure[name] / count:.1%}") for name, count in counts.most_common(_ROWS)]
    more = f"The {_ROWS} commonest of {len(counts):,}." if len(counts) > _ROWS else ""
    yield Section("What was predicted", more, table=Table(("Class", "Images", "Mean confidence"), rows))


def _trust(source: Source) -> Iterator[Section]:
    title = "Can the explanations be trusted?"
    if source.verdicts:
        terms = [(label, f"{words[0].upper()}{words[1:]}.") for label, words in source.verdicts.items()]
        yield Section(title, "As the run found on its own test images; its report has the figures.", terms=terms)
    else:
        yield Section(
            title,
            "Nobody has measured it: the methods were not judged on this model. A run judges its methods, and so does "
            "xaitool.explain(…).judge() in Python.",
        )


def _skipped(folder: Path, manifest: Manifest) -> Iterator[Section]:
    if not manifest.skipped:
        return
    with (folder / "skipped.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 1, _ROWS + 1))
    count = f"{manifest.skipped:,} file{'s' * (manifest.skipped != 1)} could not be read"
    more = f"; the first {_ROWS} of skipped.csv" if manifest.skipped > _ROWS else ""
    yield Section("Skipped", f"{count}{more}.", table=Table(("File", "Why"), rows), folded=len(rows) > 20)


def _how(source: Source, manifest: Manifest) -> Table:
    command = manifest.command
    model = command.get("run") or json.dumps(command.get("model"))
    rows = [
        ("Model", model),
        ("Images", ", ".join(command["images"])),
        ("Target", command["target"]),
        *((f"Method {label}", _method(each)) for label, each in source.methods.items()),
        *((f"Layer of {label}", used) for label, used in source.layers.items()),
        ("Size", "x".join(map(str, command["size"]))),
        ("Mean, std", "; ".join(", ".join(f"{value:.4g}" for value in command[key]) for key in ("mean", "std"))),
    ]
    return Table(("What", "Which"), rows)


def _method(component: Resolved) -> str:
    """Which one it is and how its maps are smoothed: ``xaitool/fem; smooth: {flips: true, noise: 0.1, n: 4}``."""
    if not component.smooth:
        return component.offer.full_name
    options = ", ".join(f"{key}: {json.dumps(value)}" for key, value in component.smooth.model_dump().items())
    return f"{component.offer.full_name}; smooth: {{{options}}}"


def _whole(manifest: Manifest) -> Section:
    text = json.dumps({**manifest.command, "classes": f"{len(manifest.command['classes'])} names"}, indent=2)
    return Section("All settings", preformatted=text, folded=True)


def _target(manifest: Manifest) -> str:
    target = manifest.command["target"]
    words = {"predicted": "the class it predicts", "true": "the true class", "runner_up": "the class that comes second"}
    return words.get(target, f"“{target}”")
