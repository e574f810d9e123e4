"""Somebody else's observer: one line a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xaitool import hookimpl


@hookimpl
def xaitool_stage_finished(run: Any, stage: str, record: Mapping[str, Any]) -> None:
    with (run.path / "diary.txt").open("a") as diary:
        diary.write(f"{stage}: {record['seconds']:.1f} s\n")
