"""The files to explain, in order: on disk, as there may be millions of them."""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from xaitool.characters import printable
from xaitool.errors import FolderError

_SCHEMA = """
    create table found (path blob primary key, name text, folder text) without rowid;
    create table file (number integer primary key, path blob, name text, folder text);
"""
# Sorted by the database, which uses the disk where there is much to sort.
_NUMBERED = """
    insert into file select row_number() over (order by path) - 1, path, name, folder from found;
    drop table found;
"""


@dataclass(frozen=True)
class Found:
    """A file to explain. number: its place among all; name: what to call it; folder: the name of the one it lies in."""

    number: int
    path: Path
    name: str
    folder: str


class Listing:
    """The files below some folders, or files by name, each once, sorted by path. Made once, read again on going on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def make(cls, path: Path, sources: Sequence[Path], leave_out: Path) -> Listing:
        """List everything below `sources` but what is hidden, and what is below `leave_out`.

        It appears whole or not at all. Raises FolderError for a source that is not there, or where there are no files.
        """
        beside = path.with_name(f".{path.name}")
        beside.unlink(missing_ok=True)
        with closing(sqlite3.connect(beside)) as database:
            database.executescript(_SCHEMA)
            only = sources[0] if len(sources) == 1 and sources[0].is_dir() else None
            for source in sources:
                rows = (_row(file, only) for file in _files(source, leave_out))
                with database:
                    database.executemany("insert or ignore into found values (?, ?, ?)", rows)
            database.executescript(f"begin; {_NUMBERED} commit; vacuum;")
            empty = database.execute("select count(*) from file").fetchone()[0] == 0
        if empty:
            beside.unlink()
            raise FolderError(f"there are no files in {', '.join(map(str, sources))}")
        beside.replace(path)
        return cls(path)

    def __len__(self) -> int:
        with self._opened() as database:
            return int(database.execute("select count(*) from file").fetchone()[0])

    def part(self, start: int, stop: int) -> list[Found]:
        """The files from number `start` up to `stop`, which is not one of them."""
        with self._opened() as database:
            found = database.execute(
                "select number, path, name, folder from file where number >= ? and number < ? order by number",
                (start, stop),
            )
            return [Found(number, Path(os.fsdecode(path)), name, folder) for number, path, name, folder in found]

    def folders(self) -> list[tuple[str, str]]:
        """The name of each folder that files lie in, with the name of one of its files."""
        with self._opened() as database:
            return list(database.execute("select folder, min(name) from file group by folder order by folder"))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database


def first_files(sources: Sequence[Path], leave_out: Path, most: int) -> list[Path]:
    """The first so many of the files that a listing of these would have, without making one; none where it fails."""
    folder = leave_out.expanduser().absolute()
    paths = (
        os.fsencode(file) for source in sources for file in _files(source.expanduser().absolute(), leave_out=folder)
    )
    try:
        return [Path(os.fsdecode(path)) for path in heapq.nsmallest(most, paths)]
    except OSError:  # the listing tells it
        return []


def _row(file: str, only: Path | None) -> tuple[bytes, str, str]:
    """Path, name and folder; where all files lie in the one folder that was named, names are relative to it."""
    return (
        os.fsencode(file),
        printable(os.path.relpath(file, only) if only else file),
        printable(Path(file).parent.name),
    )


def _files(source: Path, leave_out: Path) -> Iterator[str]:
    """Paths of the files below a folder, or of the one file, in no order; links to folders are not followed."""
    if not source.is_dir():
        yield str(source)
        return
    folders = [str(source)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or Path(entry.path) == leave_out:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_dir():
                    yield entry.path
