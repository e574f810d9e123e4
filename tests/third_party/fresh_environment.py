"""An environment to install things into and run them in."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder to work in."""

    path: Path
    work: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, found as a user's shell would find it once it is activated."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = {**inherited, "OMP_NUM_THREADS": "1", "VIRTUAL_ENV": str(self.path)}
        program = str(self.path / "bin" / command[0])
        return subprocess.run([program, *command[1:]], cwd=self.work, env=environment, capture_output=True, text=True)

    def install(self, *what: str | Path) -> None:
        """Install distributions, dependencies included."""
        uv("pip", "install", "--python", str(self.path / "bin/python"), "--link-mode", "symlink", *map(str, what))


def uv(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"uv {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
