"""``XAITOOL_TRACE_PLUGINS=1``: every call of every hook, in the log and on standard error."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import pluggy

VARIABLE = "XAITOOL_TRACE_PLUGINS"

log = logging.getLogger("xaitool.trace")


def start(manager: pluggy.PluginManager) -> None:
    """Log the hook calls of a manager, where the environment asks for it."""
    if os.environ.get(VARIABLE, "0") in ("", "0"):
        return
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("trace: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    began: list[float] = []

    def before(_hook: str, _called: Any, _arguments: Mapping[str, Any]) -> None:
        began.append(time.perf_counter())

    def after(outcome: pluggy.Result[Any], hook: str, called: Any, arguments: Mapping[str, Any]) -> None:
        milliseconds = (time.perf_counter() - began.pop()) * 1000
        given = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
        for plugin in called:
            told = f"raised {outcome.exception!r}" if outcome.exception else f"-> {_short(outcome.get_result())}"
            log.info("%s: %s(%s) %s, %.1f ms", plugin.plugin_name, hook, given, told, milliseconds)

    manager.add_hookcall_monitoring(before, after)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
