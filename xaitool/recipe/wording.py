"""What pydantic finds wrong, in a recipe's own terms: lists and mappings, not tuples and dictionaries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from xaitool.suggest import did_you_mean

_PLAIN = {
    "should be a mapping of keys to values": ("model_type", "model_attributes_type", "dict_type", "mapping_type"),
    "should be a list": ("list_type", "tuple_type", "set_type"),
    "should be a text": ("string_type",),
    "should be true or false": ("bool_type", "bool_parsing"),
    "should be a whole number": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "should be a number": ("float_type", "float_parsing"),
    "should not be null": ("none_required",),
}
_WORDS = {kind: words for words, kinds in _PLAIN.items() for kind in kinds}
_OWN = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}  # the rest was written by us, or a plugin


def words_for(detail: Any) -> str:
    """What is wrong, without the value that was given."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error":
            return f"should be {context['expected']}"
        case "too_short":
            return f"should have at least {_items(context['min_length'])}"
        case "too_long":
            return f"should have at most {_items(context['max_length'])}"
        case "string_too_short" if context["min_length"] == 1:
            return "should not be empty"
        case "string_pattern_mismatch":
            return f"should match the pattern {context['pattern']}"
        case "tuple_type" | "list_type" if _of_texts(detail):
            return f"should be a list such as [{detail['input']}]"
        case kind if kind in _OWN:
            message = str(detail["msg"]).removeprefix("Input ")
            return _WORDS.get(kind) or message[:1].lower() + message[1:]
        case _:
            return str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def shown(detail: Any, words: str) -> str:
    """The value that was given, where it is short and the words do not speak of it already."""
    value = detail["input"]
    if detail["type"] == "refused":  # whatever the value
        return ""
    if isinstance(value, list | tuple) and detail["type"] in ("too_short", "too_long"):
        return f", and has {len(value)}"
    if not isinstance(value, str | int | float | bool | type(None)):
        return ""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    told = detail["type"] not in _OWN and text in words
    return f", not {text}" if value != "" and len(text) < 60 and not told else ""


def hint(detail: Any) -> str:
    """What may have been meant."""
    value = detail["input"]
    if detail["type"] == "literal_error" and isinstance(value, str):
        return did_you_mean(value, quoted(detail["ctx"]["expected"]))
    if detail["type"] == "string_type" and isinstance(value, int | float):
        return "; if it is meant as a text, quote it"
    return ""


def quoted(expected: str) -> list[str]:
    """The texts in pydantic's ``'sgd', 'adamw' or 3``."""
    words = (word.strip() for word in expected.removeprefix("one of ").replace(" or ", ",").split(","))
    return [word.strip("'") for word in words if word.startswith("'")]


def either(words: Iterable[str]) -> str:
    """``should be a whole number, or 'auto'``: what each branch of a union would have liked."""
    first, *others = dict.fromkeys(words)
    return ", or ".join([first, *(other.removeprefix("should be ") for other in others)])


def _of_texts(detail: Any) -> bool:
    """Whether a plain word stands where a list of words could, as one branch of a union."""
    branch = next((str(part) for part in detail["loc"][::-1] if str(part).startswith(("tuple[", "list["))), "")
    return "str" in branch and isinstance(detail["input"], str) and detail["input"].replace(".", "_").isidentifier()


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"
