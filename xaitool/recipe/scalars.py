"""What a recipe's scalars mean: environment variables first, then the core schema of YAML 1.2.

PyYAML follows YAML 1.1, where ``no`` is false, ``1:30`` is ninety, ``010`` is eight and ``1e-3`` is a string. A
learning rate that is silently a string is the last thing a recipe needs, hence these rules (YAML 1.2.2, 10.3.2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

PLAIN = "?"  # the tag that the YAML specification gives to a plain scalar before its meaning is known
CORE = "tag:yaml.org,2002:"  # what !! stands for

MAX_DIGITS = 1000  # Python itself refuses to write an int of more than 4300 digits, with an error of its own

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
_NOT_A_NUMBER = re.compile(r"\.nan|\.NaN|\.NAN")

_DOLLAR = re.compile(
    r"""
      \$(?P<dollar>\$)
    | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default> (?: [^$}] | \$\$ | \$(?![${]) )* ) )? \}
    | (?P<malformed>\$\{)
    """,
    re.VERBOSE,
)


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """`text` with ``${VAR}``, ``${VAR:-default}`` and ``$$`` replaced; any other ``$`` stays.

    As in a shell, the default also stands in for a variable that is set but empty.
    Raises ValueError, whose args are the things that are wrong.
    """
    complaints: list[str] = []

    def replacement(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if found["dollar"]:
            return "$"
        if found["malformed"]:
            complaints.append(
                "malformed '${'; write ${NAME} or ${NAME:-default} (without another ${ in the default), "
                "or $${ for a literal ${"
            )
            return ""
        if default is not None:
            return environment.get(name) or default.replace("$$", "$")
        if name not in environment:
            complaints.append(
                f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-default}}"
            )
        return environment.get(name, "")

    result = _DOLLAR.sub(replacement, text)
    if complaints:
        raise ValueError(*dict.fromkeys(complaints))
    return result


def resolve(text: str, tag: str = PLAIN) -> Scalar:
    """The value of a scalar that is written plainly, or under one of the core tags (``!!str``, ``!!int`` …).

    Raises ValueError where the tag is none of those, or where the text is no such thing.
    """
    match tag.removeprefix(CORE):
        case "str":
            return text
        case "null" if _NULL.fullmatch(text):
            return None
        case "bool" if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return _plain(text)
        case "int" if _is_integer(text):
            return _plain(text)
        case "float" if _is_float(text):
            return _float(text)
        case "null" | "bool" | "int" | "float" as kind:
            raise ValueError(f"'{shortened(text)}' is no !!{kind}")
        case _ if tag == PLAIN:
            return _plain(text)
        case _:
            raise ValueError(f"the tag {tag_as_written(tag)} does not belong here; leave it out")


def tag_as_written(tag: str) -> str:
    """``!!set`` for ``tag:yaml.org,2002:set``."""
    return "!!" + tag.removeprefix(CORE) if tag.startswith(CORE) else tag


def shortened(text: str) -> str:
    """The beginning of a text, on one line, for use in a message."""
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def _plain(text: str) -> Scalar:
    """The core schema's rules, in its order; what matches none of them is a string."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _is_integer(text):
        return _integer(text)
    if _is_float(text):
        return _float(text)
    return text


def _is_integer(text: str) -> bool:
    return any(kind.fullmatch(text) for kind in (_DECIMAL, _OCTAL, _HEXADECIMAL))


def _is_float(text: str) -> bool:
    return any(kind.fullmatch(text) for kind in (_FLOAT, _INFINITE, _NOT_A_NUMBER))


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits")
    # Not int(text, 0): it refuses 010, which is ten in YAML 1.2.
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _float(text: str) -> float:
    if _INFINITE.fullmatch(text) or _NOT_A_NUMBER.fullmatch(text):
        return float(text.replace(".", ""))
    value = float(text)
    if math.isinf(value):  # 1e999, say: nobody means infinity by it
        raise ValueError(f"'{shortened(text)}' is too large for a number; write .inf for infinity")
    return value
