"""Of several processes that were started together, the main one speaks."""

from __future__ import annotations

import os
import sys

from xaitool.characters import harmless
from xaitool.engine.launched import asked_for
from xaitool.errors import LeftBehindError, RecipeError, XaitoolError


def rank() -> int:
    """The number of this process; 0 is the main one, and any that was started by itself."""
    return int(os.environ.get("RANK", "0")) if os.environ.get("WORLD_SIZE", "1") != "1" else 0


def start_the_others() -> None:
    """Become all the processes that ``accelerate launch --cpu`` was asked for and has left to this one, by torchrun.

    Returns where nothing was left to do; where this is not ``-m xaitool``, but a program that would not be what becomes
    of it; and where it is not known how many they are to be. The last two the run then tells.
    """
    started = getattr(sys.modules["__main__"], "__spec__", None)
    # On Windows a process that becomes another one ends, for whoever waits for it.
    if started is None or started.name != "xaitool.__main__" or os.name == "nt":
        return
    if count := asked_for():
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        os.execv(sys.executable, [*launcher, "-m", "xaitool", *sys.argv[1:]])  # noqa: S606 - no shell is what is wanted


def told(error: XaitoolError) -> str | None:
    """What this process has to say of an error; None where the main one says the same."""
    text = harmless(str(error))
    words = f"error: {text}" if "\n" not in text else f"error:\n{text}"
    if rank() == 0:
        return words
    return None if isinstance(error, RecipeError | LeftBehindError) else f"process {rank()}: {words}"
