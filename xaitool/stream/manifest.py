"""``explain.json``: which command made a folder, and how far it got. What it says is done is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xaitool.errors import FolderError
from xaitool.files import parsed, write_whole

NAME = "explain.json"
LOCK = "explain.lock"
VERSION = 1


@dataclass
class Manifest:
    """command: all that the outcome follows from. files: how many there are. shards: how many are done; explained,
    skipped: how many files in those. sizes: of the tables that grow, in bytes, when the last of them was done. empty:
    how many maps have no evidence in them, by method; only of methods that gave such.
    """

    command: Mapping[str, Any]
    files: int
    shards: int = 0
    explained: int = 0
    skipped: int = 0
    state: str = "running"
    sizes: dict[str, int] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it whole. Raises OSError."""
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=2)
        write_whole(folder / NAME, f"{text}\n".encode())

    @classmethod
    def read(cls, folder: Path, command: Mapping[str, Any]) -> Manifest | None:
        """What an earlier call of the same command left; None where the folder is new or empty.

        Raises FolderError where the folder is another command's, or has other things in it.
        """
        path = folder / NAME
        if not path.exists():
            if folder.exists() and (not folder.is_dir() or _foreign(folder)):
                raise FolderError(f"{folder} is there already and holds no explanations; name a new folder with --out")
            return None
        try:
            record = parsed(path.read_text("utf-8"))
            version = record.pop("version")
            found = cls(**record) if version == VERSION else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FolderError(f"{path} is damaged ({error}); name a new folder with --out") from error
        if found is None:
            raise FolderError(f"{path} was written by another version of xaitool; name a new folder with --out")
        if differing := differences(found.command, json.loads(json.dumps(command))):
            raise FolderError(
                f"{folder} has the explanations of another command; name a new folder with --out. What differs:\n"
                + "\n".join(f"  {line}" for line in differing)
            )
        return found


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two commands, a line each."""
    lines = []
    for key in dict.fromkeys([*there, *here]):
        before, now = there.get(key), here.get(key)
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            lines += [f"{key}.{line}" for line in differences(before, now)]
        else:
            lines.append(f"{key}: {_short(before)} there, {_short(now)} here")
    return lines


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _foreign(folder: Path) -> bool:
    """Whether there is anything in it but what a listing that was broken off leaves."""
    return any(not each.name.startswith((".files.sqlite", "files.sqlite", LOCK)) for each in folder.iterdir())
