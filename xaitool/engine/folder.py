"""The run folder: all that happened is in it, and every file in it is whole."""

from __future__ import annotations

import io
import json
import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaitool.characters import harmless
from xaitool.errors import FolderError
from xaitool.files import filename, held, leads_out, write_within
from xaitool.results import resume_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("xaitool")


class RunFolder:
    """A folder that a run writes into. Files appear whole or not at all: written beside, synced, renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, out: Path, name: str) -> RunFolder:
        """Make ``out/name/<timestamp>``, a folder that was not there before. Raises FolderError."""
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        parent = out.expanduser().absolute() / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = parent / (stamp if number == 1 else f"{stamp}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise FolderError(f"cannot make a run folder in {parent}: {error.strerror or error}") from error
        raise FolderError(f"cannot find a free name for a run folder in {parent}")

    def check_links(self) -> None:
        """Raise FolderError where a link leads out of the folder, which may be a stranger's: a run writes into it."""
        for each in sorted(self.path.glob("*")):
            if each.is_symlink() and leads_out(each, self.path) and not each.is_char_device():
                raise FolderError(f"{each} is a link that leads out of the run's folder; take it away")

    def held(self) -> AbstractContextManager[None]:
        """Keep every other process out of the folder; a process that is killed lets go of it. Raises FolderError."""
        return held(self.path, "run.lock")

    def resume_command(self) -> str:
        """The command that goes on with this run."""
        return resume_command(self.path)

    def remove(self, *names: str) -> None:
        """Take files and folders away, given by patterns. Raises FolderError."""
        try:
            for path in (path for name in names for path in sorted(self.path.glob(name))):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        except OSError as error:
            raise FolderError(f"cannot remove {error.filename}: {error.strerror or error}") from error

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write one file. Raises FolderError where the disk is full or the folder not writable."""
        return write_within(self.path, name, data)

    def write_text(self, name: str, text: str) -> Path:
        """Write one text file, in UTF-8."""
        return self.write_bytes(name, text.encode())

    def write_json(self, name: str, data: Any) -> Path:
        """Write one JSON file."""
        return self.write_text(name, json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")

    def write_lines(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write one file of JSON lines."""
        return self.write_text(name, "".join(json.dumps(_finite(row), allow_nan=False) + "\n" for row in rows))

    def write_array(self, name: str, array: Any) -> Path:
        """Write one ``.npy`` file, without pickle."""
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return self.write_bytes(name, buffer.getvalue())

    def write_weights(self, name: str, state: dict[str, Any]) -> Path:
        """Write one safetensors file; ``safetensors.torch.load_file`` reads it."""
        from safetensors.torch import save

        # Copies: safetensors refuses tensors that share memory, as tied weights do.
        plain = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
        return self.write_bytes(name, save(plain))

    def write_figure(self, name: str, figure: Figure) -> Path:
        """Write ``figures/<name>.png``."""
        from xaitool.figures import drawn

        return self.write_bytes(f"figures/{filename(name)}.png", drawn(figure)["png"])

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Let everything that is logged under ``xaitool`` go to ``run.log`` too."""
        try:
            handler = _LogFile(self.path / "run.log", encoding="utf-8")
        except OSError as error:
            raise FolderError(f"cannot write {self.path / 'run.log'}: {error.strerror or error}") from error
        handler.setFormatter(_Harmless("%(asctime)s %(levelname)s %(message)s"))
        before, propagate = log.level, log.propagate
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(before)
            log.propagate = propagate
            with suppress(OSError):
                handler.close()


class OthersFolder(RunFolder):
    """The folder of a run as the processes have it that are not the main one: they write nothing into it."""

    def held(self) -> AbstractContextManager[None]:
        """The main process holds it."""
        return nullcontext()

    def remove(self, *names: str) -> None:
        """The main process does."""

    def write_bytes(self, name: str, data: bytes) -> Path:
        """The main process does; gives where."""
        return self.path / name

    def write_figure(self, name: str, figure: Figure) -> Path:
        """The main process does; gives where."""
        return self.path / "figures" / f"{filename(name)}.png"

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Let nothing be logged: it would be said once more."""
        nowhere, propagate = logging.NullHandler(), log.propagate
        log.addHandler(nowhere)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(nowhere)
            log.propagate = propagate


class _Harmless(logging.Formatter):
    """Text that does nothing to the terminal that it is looked at in."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


class _LogFile(logging.FileHandler):
    """A log that is silent where it cannot be written: the next file of the run says so, and ends it."""

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """A full disk is no defect."""


def _finite(data: Any) -> Any:
    """JSON knows no NaN and no infinity: null instead."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
