"""What ``accelerate launch`` was asked for and has not done: on CPUs, without MPI, it starts one process of several."""

from __future__ import annotations

import os
import re

LEFT_ALONE = (
    "accelerate launch was asked for several processes and has started one, as it does on CPUs without MPI; "
    "with --multi_gpu in place of --cpu it starts all of them, on CPUs too (docs/scaling.md)"
)


def left_alone() -> str | None:
    """What to say where ``accelerate launch`` was asked for several processes and this is a run of one; else None.

    Its launcher then sets where they were to meet, but not how many they are.
    """
    asked = {"ACCELERATE_USE_CPU", "MASTER_PORT"} <= os.environ.keys()
    return LEFT_ALONE if asked and "WORLD_SIZE" not in os.environ else None


def asked_for() -> int | None:
    """How many processes on CPUs it was asked for, by its command line, where it has left this one alone; else None."""
    if not left_alone() or os.environ["ACCELERATE_USE_CPU"].lower() != "true":
        return None
    # Slow to import, and needed hardly ever.
    import psutil
    from accelerate.commands.launch import launch_command_parser

    try:
        parent = psutil.Process().parent()
        command = parent.cmdline() if parent else []
    except psutil.Error:  # another user's, or gone
        return None
    launch = next((place for place, word in enumerate(command) if re.search(r"\blaunch(\.py)?$", word)), None)
    if launch is None:
        return None
    options, _ = launch_command_parser().parse_known_args(command[launch + 1 :])
    # Of several machines, which a file may name too, each has a command of its own.
    return options.num_processes if options.num_machines in (None, 1) and not options.config_file else None
