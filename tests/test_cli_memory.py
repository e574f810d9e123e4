"""The command line keeps freed memory; whoever calls it from Python has the allocator that they had."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells what a process holds")
GLIBC = platform.libc_ver()[0] == "glibc"
# Whether 20 MB that were freed are still the process's.
KEPT = """
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
before = resident()
taken = b"1" * 20_000_000
del taken
print(resident() - before > 2000)
"""
SAID = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def kept(code: str, *arguments: str, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SAID)} | variables
    command = [sys.executable, "-c", code + KEPT, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1:]


def test_the_program_keeps_what_is_freed() -> None:
    assert kept("from xaitool.cli import main\nmain()", "recipe", "show", "quickstart") == [str(GLIBC)]


@pytest.mark.parametrize(
    ("code", "variables"),
    [
        ("from xaitool.cli import main\nmain(['recipe', 'show', 'quickstart'])", {}),
        ("import xaitool\nxaitool.Recipe", {}),
        ("from xaitool.cli import main\nmain()", {"MALLOC_ARENA_MAX": "1"}),
    ],
    ids=["called from Python", "imported", "otherwise by the environment"],
)
def test_where_it_is_not_its_own_process_or_told_otherwise_it_does_not(code: str, variables: dict[str, str]) -> None:
    assert kept(code, "recipe", "show", "quickstart", **variables) == ["False"]
