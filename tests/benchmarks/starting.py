"""How soon the command line is there: against a Python that imports what it is made of.

    python tests/benchmarks/starting.py            # or: make bench

Each in a process of its own, in interleaved rounds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from timing import interleaved, settings, table

PARTS = "import click, pluggy, yaml, pydantic"
COMMANDS = {
    PARTS: ["-c", PARTS],
    "xaitool --help": ["-m", "xaitool", "--help"],
    "xaitool plugins list": ["-m", "xaitool", "plugins", "list"],
    "xaitool recipe check quickstart": ["-m", "xaitool", "recipe", "check", "quickstart"],
    f"{PARTS}, albumentations": ["-c", f"{PARTS}, albumentations"],
}


def call(arguments: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    found = settings(__doc__, rounds=9)
    taken = interleaved({name: call(arguments) for name, arguments in COMMANDS.items()}, found.rounds)
    table("Command", taken, PARTS)


if __name__ == "__main__":
    main()
