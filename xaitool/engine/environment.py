"""What a run ran on: ``environment.json``."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from xaitool.engine.runtime import Runtime
from xaitool.masking import masked_command


def environment(runtime: Runtime) -> dict[str, Any]:
    """Versions, machine, device and command; no environment variables, which may hold secrets."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {"machine": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "device": runtime.describe(),
        "cuda": torch.version.cuda if runtime.device.type == "cuda" else None,
        "cudnn": torch.backends.cudnn.version() if runtime.device.type == "cuda" else None,
        "workers": runtime.workers,
        "command": masked_command([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "packages": dict(sorted({each.name: each.version for each in distributions() if each.name}.items())),
    }


def _commit() -> str | None:
    """The git commit of the folder the run was started from, if it is in a repository."""
    try:
        done = subprocess.run(  # a fixed command, looked up as the user's shell would
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
