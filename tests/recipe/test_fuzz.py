"""Recipes changed at random are refused in words or are recipes; none gives a traceback.

300 of them in the usual run; XAITOOL_TEST_FUZZ=10000 (`make test-fuzz`) for as many as that.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from xaitool.errors import XaitoolError
from xaitool.recipe.library import locate, names
from xaitool.recipe.resolve import Recipe

COUNT = int(os.environ.get("XAITOOL_TEST_FUZZ", 300))
PARTS = 10
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 1e-9, 1e308, -0.0, 10**30, float("inf"), float("nan"), "", " ", "auto", "gradcam",
    "resnet18", "true", "1e-3", "0x1f", "yes", "a/b", "../..", "/", "~", "${HOME}", "${", "$", "${NOBODY_HAS_IT}",
    "é", "\u0000", "\u2028", "\U0001f408", "x" * 5000, "*", "&a", "!!python/name:os.system", "2026-11-28", "1:30", [],
    {}, [[]], [None], {"use": "gradcam"}, {"use": None}, {"": ""}, {"a": {"b": {"c": 1}}}, [{"use": "gradcam"}] * 3,
    {"HorizontalFlip": {"p": "often"}}, {"name": "sgd", "momentum": "much"},
]  # fmt: skip
KEYS = [
    "use",
    "name",
    "epochs",
    "targets",
    "layers",
    "as",
    "root",
    "p",
    "steps",
    "recipe",
    "seed",
    "épochs",
    "",
    "0",
    "~",
]
SNIPPETS = [
    ":", "- ", "  ", "\t", "{", "}", "[", "]", ",", "#", "'", '"', "|", ">", "&x ", "*x", "!!int ", "%YAML 1.1\n",
    "---\n", "...\n", "\x00", "\ufeff", "\r", "<<: *x", "? ", "@", "`", "=", "=1", "\x85", "é", "\ud7ff", "\U0001f408",
]  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that is in it."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def changed_data(text: str, draw: random.Random) -> str:
    """Values are replaced, keys renamed, added and taken away, in the recipe as data."""
    data = yaml.safe_load(text)
    for _ in range(draw.randint(1, 3)):
        *path, key = draw.choice([place for place in places(data) if place] or [("recipe",)])
        holder = data
        for each in path:
            holder = holder[each]
        match draw.choice(["replace", "replace", "drop", "add", "rename", "nest"]):
            case "replace":
                holder[key] = draw.choice(VALUES)
            case "drop":
                del holder[key]
            case "nest":
                holder[key] = [holder[key]] if draw.random() < 0.5 else {draw.choice(KEYS): holder[key]}
            case "rename" if isinstance(holder, dict):
                holder[draw.choice([*KEYS, str(key)[:-1]])] = holder.pop(key)
            case _ if isinstance(holder, dict):
                holder[draw.choice(KEYS)] = draw.choice(VALUES)
            case _:
                holder.insert(draw.randint(0, len(holder)), draw.choice(VALUES))
    return yaml.safe_dump(data, allow_unicode=draw.random() < 0.5, sort_keys=False)


def changed_text(text: str, draw: random.Random) -> str:
    """Characters and lines are put in, taken out and doubled, in the recipe as text."""
    for _ in range(draw.randint(1, 4)):
        lines = text.splitlines(keepends=True) or [""]
        row, at = draw.randrange(len(lines)), draw.randint(0, len(text))
        match draw.choice(["snippet", "snippet", "cut", "drop", "double", "indent", "swap"]):
            case "snippet":
                text = text[:at] + draw.choice(SNIPPETS) + text[at:]
            case "cut":
                text = text[:at] + text[at + draw.randint(1, 20) :]
            case "drop":
                text = "".join(lines[:row] + lines[row + 1 :])
            case "double":
                text = "".join(lines[: row + 1] + lines[row:])
            case "indent":
                text = "".join([*lines[:row], " " * draw.randint(1, 3) + lines[row], *lines[row + 1 :]])
            case _:
                other = draw.randrange(len(lines))
                lines[row], lines[other] = lines[other], lines[row]
                text = "".join(lines)
    return text


@pytest.mark.parametrize("part", range(PARTS))
def test_a_recipe_changed_at_random_gives_no_traceback(part: int) -> None:
    texts = [locate(name).read_text("utf-8") for name in names()]
    refused = 0
    for number in range(part, COUNT, PARTS):
        draw = random.Random(number)
        change: Callable[[str, random.Random], str] = draw.choice([changed_data, changed_text])
        text = change(draw.choice(texts), draw)
        try:
            Recipe.parse(text, "mutant.yaml")
        except XaitoolError as error:
            refused += 1
            told = str(error)
            assert told.strip(), f"mutant {number} is refused without a word:\n{text}"
        except Exception as error:
            raise AssertionError(f"mutant {number} gives {error!r}:\n{text}") from error
    assert refused > 0.3 * COUNT / PARTS
