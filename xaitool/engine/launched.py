"""What a launcher was asked for and has not done."""

from __future__ import annotations

import os

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
