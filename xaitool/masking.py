"""Keeping secrets out of what is shown: a report is sent to colleagues.

A value is taken for a secret by its key (``dataset.token``) and, in an address, by its place (``https://user:secret@…``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"

_SECRET = re.compile(
    r"(^|[_.-])(token|secret|password|passwd|passphrase|credentials?|(api|access|private|secret|auth)[_-]?key)$", re.I
)
_ASSIGNMENT = re.compile(r"^(?P<key>(--set=)?[\w.\[\]-]+)=(?P<value>.+)$", re.S)
_WITHIN = re.compile(r"(?P<key>[\w-]+)(?P<between>['\"]?\s*:\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,}\]]+)")
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.I)


def is_secret(key: str) -> bool:
    """Whether what stands under this key, the last part of a dotted one, is to be kept secret."""
    return bool(_SECRET.search(key))


def masked(value: Any, key: str = "") -> Any:
    """The same plain data, with every secret in it hidden."""
    if isinstance(value, Mapping):
        return {name: masked(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, key) for inner in value]
    if value not in (None, "") and not isinstance(value, bool) and is_secret(key):
        return HIDDEN
    return _ADDRESS.sub(rf"\g<scheme>{HIDDEN}@", value) if isinstance(value, str) else value


def masked_command(words: Sequence[str]) -> list[str]:
    """A command line, with the values of ``--set key=value`` hidden where they are secrets."""
    return [_masked_word(word) for word in words]


def _masked_word(word: str) -> str:
    word = _ADDRESS.sub(rf"\g<scheme>{HIDDEN}@", word)
    found = _ASSIGNMENT.match(word)
    if found and is_secret(found["key"]):
        return f"{found['key']}={HIDDEN}"
    # A mapping in YAML's short form: dataset={use: mine, token: …}.
    return _WITHIN.sub(_masked_pair, word)


def _masked_pair(pair: re.Match[str]) -> str:
    return f"{pair['key']}{pair['between']}{HIDDEN}" if is_secret(pair["key"]) else pair[0]
