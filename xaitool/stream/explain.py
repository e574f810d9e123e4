"""Explaining files from the first to the last: going on where an earlier call stopped, in constant memory."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaitool.characters import printable
from xaitool.engine.explain import RELATIVE_TARGETS
from xaitool.engine.progress import Display
from xaitool.engine.randomness import derive, kept
from xaitool.engine.runtime import Runtime
from xaitool.errors import ExplainError, FolderError
from xaitool.files import held
from xaitool.stream.listing import Listing
from xaitool.stream.manifest import LOCK, NAME, Manifest
from xaitool.stream.page import write_page
from xaitool.stream.shards import Shard, explain_shard, shard_name
from xaitool.stream.source import Source
from xaitool.suggest import did_you_mean

# Images in a folder: more make file managers and file systems slow.
SHARD = 1000

_LISTING = "files.sqlite"
_TABLES = ("predictions.csv", "skipped.csv")


@dataclass(frozen=True)
class Outcome:
    """What came of it. explained, skipped: files, over all calls; before: shards that earlier calls had done.

    empty: how many maps have no evidence in them, by method; only of methods that gave such.
    """

    folder: Path
    files: int
    explained: int
    skipped: int
    before: int
    empty: Mapping[str, int]

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """For scripts."""
        counts = {"files": self.files, "explained": self.explained, "skipped": self.skipped}
        return {
            "folder": str(self.folder),
            **counts,
            "empty_maps": dict(self.empty),
            "went_on": self.before > 0,
            "report": str(self.page),
        }


def explain_files(
    source: Source,
    images: Sequence[Path],
    folder: Path,
    *,
    target: str = "predicted",
    runtime: Runtime,
    display: Display,
    shard: int = SHARD,
    seed: int = 0,
) -> Outcome:
    """Explain image files, and everything below folders, into `folder`; where it has been begun, go on.

    target: ``predicted``, ``runner_up``, ``true`` (a file's folder is called after its class) or a class by name.
    Files that cannot be read are listed in ``skipped.csv``. Whatever it is interrupted by, the same call goes on after
    the last shard that was done. Raises FolderError where `folder` is another call's, or cannot be written;
    ExplainError where the target is none; and what explaining raises.
    """
    _check_target(target, source.classes)
    paths = tuple(each.expanduser().absolute() for each in images)
    job = _Job(source, paths, folder.expanduser().absolute(), target, shard, seed, runtime, display)
    try:
        return _explain(job)
    except OSError as error:
        raise FolderError(f"cannot write {error.filename or job.folder}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise FolderError(
            f"the list of files, {job.folder / _LISTING}, cannot be written or read ({error}): look whether the disk "
            "is full and the folder may be written to; where the list was taken away, name a new folder with --out"
        ) from error


@dataclass(frozen=True)
class _Job:
    """What is to be explained, into which folder, and on what. shard: images in a folder."""

    source: Source
    images: tuple[Path, ...]
    folder: Path
    target: str
    shard: int
    seed: int
    runtime: Runtime
    display: Display

    @property
    def command(self) -> dict[str, Any]:
        """All that the outcome follows from (JSON types)."""
        own = {"target": self.target, "shard": self.shard, "seed": self.seed}
        return {"images": [printable(each) for each in self.images], **own, **self.source.identity}


def _explain(job: _Job) -> Outcome:
    manifest = Manifest.read(job.folder, job.command)
    if manifest and _finished(manifest, job.folder):
        return _outcome(manifest, job.folder, manifest.shards)
    if manifest is None:
        _check_there(job.images)
    with _held(job.folder):
        return _go_on(job)


def _go_on(job: _Job) -> Outcome:
    folder = job.folder
    manifest = Manifest.read(folder, job.command)  # again, as another process may have gone on until now
    if manifest is None:
        listing = _listed(job)
        manifest = Manifest(job.command, len(listing))
        manifest.write(folder)
    listing, before = Listing(folder / _LISTING), manifest.shards
    shards, done = -(-manifest.files // job.shard), min(before * job.shard, manifest.files)
    if 0 < before < shards:
        job.display.line(f"going on after {done:,} of {manifest.files:,} files")
    job.runtime.place(job.source.subject.module)
    with _told_where(manifest, job.shard), kept(), job.display.bar("explaining", manifest.files - done) as bar:
        for number in range(before, shards):
            found = explain_shard(
                job.source,
                listing.part(number * job.shard, (number + 1) * job.shard),
                job.target,
                folder / shard_name(number),
                seed=derive(job.seed, "shard", number),
                runtime=job.runtime,
                done=bar,
            )
            _append(folder, manifest, found)
            manifest.shards, manifest.explained = number + 1, manifest.explained + len(found.rows)
            manifest.skipped += len(found.skipped)
            manifest.empty = dict(Counter(manifest.empty) + found.empty)
            manifest.write(folder)
            bar(len(found.skipped))
    if not _finished(manifest, folder):
        write_page(job.source, manifest, listing, folder, job.shard)
        manifest.state = "finished"
        manifest.write(folder)
    return _outcome(manifest, folder, before)


@contextmanager
def _told_where(manifest: Manifest, shard: int) -> Iterator[None]:
    """Note on an interruption how far it has got: only whole shards are not done again."""
    try:
        yield
    except KeyboardInterrupt as stop:
        done = min(manifest.shards * shard, manifest.files)
        stop.add_note(f"stopped after {done:,} of {manifest.files:,} files; the same command goes on from there")
        raise


def _finished(manifest: Manifest, folder: Path) -> bool:
    return manifest.state == "finished" and (folder / "report.html").is_file()


def _outcome(manifest: Manifest, folder: Path, before: int) -> Outcome:
    return Outcome(folder, manifest.files, manifest.explained, manifest.skipped, before, manifest.empty)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder, which is made where it is not there.

    Where nothing has come to be in it, nothing is left behind.
    """
    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, LOCK):
        try:
            yield
        except BaseException:
            if not (folder / NAME).exists():
                for each in [*folder.glob(f"*{_LISTING}*"), folder / LOCK]:
                    each.unlink(missing_ok=True)
                if not there:
                    folder.rmdir()
            raise


def _check_target(target: str, classes: Sequence[str]) -> None:
    known = (*RELATIVE_TARGETS, *classes)
    if target not in known:
        raise ExplainError(
            f"'{target}' is neither a target nor a class"
            f"{did_you_mean(target, known) or '; there are ' + ', '.join(known[:12])}"
        )


def _check_there(images: Sequence[Path]) -> None:
    for each in images:
        if not each.exists():
            raise FolderError(f"there are no images in {each}: it is not there")


def _listed(job: _Job) -> Listing:
    """The files, listed in the folder. Raises FolderError, ExplainError."""
    listing, classes = Listing.make(job.folder / _LISTING, job.images, leave_out=job.folder), job.source.classes
    if job.target == "true":
        for name, file in listing.folders():
            if name not in classes:
                hint = did_you_mean(name, classes) or f"; the classes are {', '.join(classes[:12])}"
                raise ExplainError(
                    f"target true takes a file's folder for its class; {file} lies in '{name}', which is none{hint}"
                )
    return listing


def _append(folder: Path, manifest: Manifest, found: Shard) -> None:
    """Add a shard's rows to the tables of all; what a call that was killed has added beyond what is done is cut off."""
    for name in _TABLES:
        size = manifest.sizes.get(name, 0)
        text = _text(name, found, header=size == 0)
        with (folder / name).open("ab") as file:
            file.truncate(size)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        manifest.sizes[name] = size + len(text.encode("utf-8"))


def _text(name: str, found: Shard, header: bool) -> str:
    from xaitool.api.saving import table

    return table(found.rows, header) if name == "predictions.csv" else found.skipped_table(header)
