"""A YAML document as plain values, each with the place where it stands; or everything that is wrong with it.

PyYAML scans and composes; its constructors, which turn tags into objects, are never called. What comes out is made of
dict, list, str, int, float, bool and None alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml.error import Mark, MarkedYAMLError
from yaml.reader import ReaderError

from xaitool.errors import Problem, RecipeError
from xaitool.recipe.scalars import CORE, PLAIN, Scalar, resolve, substitute, tag_as_written

MAX_VALUES = 10_000  # after aliases are expanded
MAX_DEPTH = 50

Keys: TypeAlias = tuple[str | int, ...]


class _UnreadableError(Exception):
    """A text that is not the YAML that we read; nothing after the mark is known."""

    def __init__(self, mark: Mark, words: str) -> None:
        super().__init__(words)
        self.mark = mark


class _Loader(yaml.SafeLoader):
    """PyYAML's composer, which leaves plain scalars unresolved and refuses what cannot be a recipe."""

    yaml_implicit_resolvers = {None: [(PLAIN, re.compile(""))]}  # noqa: RUF012 (PyYAML's own class attribute)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; PyYAML calls this again for each node inside it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        at: Any = event.start_mark
        if isinstance(event, yaml.CollectionStartEvent) and self.depth >= MAX_DEPTH:
            raise _UnreadableError(at, _TOO_DEEP)
        if isinstance(event, yaml.ScalarEvent) and re.search("[\ud800-\udfff]", event.value):
            raise _UnreadableError(at, "half of a surrogate pair; write the character itself")
        if getattr(event, "tag", None) == "!":  # PyYAML would forget it
            raise _UnreadableError(at, "the tag ! does not belong here; leave it out")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(event, yaml.AliasEvent) and node:
            node = copy(node)  # the anchor's contents, shared, in another place
            node.start_mark = at
        return node


def _compose(text: str) -> yaml.Node | None:
    """The one document in the text, as nodes. Raises _UnreadableError and nothing else."""
    try:
        loader = _Loader(text)
    except ReaderError as error:
        lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text[: error.position])
        mark = Mark("", error.position, len(lines) - 1, len(lines[-1].lstrip("\ufeff")), None, 0)
        words = f"the character U+{ord(text[error.position]):04X} cannot stand in YAML"
        raise _UnreadableError(mark, words) from error
    try:
        return loader.get_single_node()
    except MarkedYAMLError as error:
        raise _UnreadableError(error.problem_mark or loader.get_mark(), _in_words(error, text)) from error
    except (ValueError, OverflowError) as error:
        # PyYAML takes the numbers in "\UFFFFFFFF" and %YAML 1.99…9 as they are.
        raise _UnreadableError(loader.get_mark(), "the number in an escape or a directive is too large") from error


@dataclass
class Reading:
    """One text on its way to plain values, with the places and the problems met."""

    place: Callable[[Mark], str]
    environment: Mapping[str, str]
    places: dict[Keys, tuple[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0
    around: list[int] = field(default_factory=list)  # the collections that contain what is being read
    # What a scalar says, so that an alias costs nothing the second time.
    known: dict[tuple[str, str], tuple[Scalar, tuple[str, ...]]] = field(default_factory=dict)

    def document(self, text: str, path: Keys = ()) -> Any:
        """The value of the whole text, which is to stand at `path`. Raises RecipeError with all problems."""
        try:
            node = _compose(text)
        except _UnreadableError as error:
            raise RecipeError([Problem(self.place(error.mark), dotted(path), str(error))]) from error
        value = None if node is None else self._value(node, path, node.start_mark)
        if self.problems:
            raise RecipeError(self.problems)
        return value

    def _value(self, node: yaml.Node, path: Keys, key_mark: Mark) -> Any:
        """What the node says; where that is a problem, it is noted and None stands in."""
        self.places[path] = (self.place(key_mark), self.place(node.start_mark))
        self.values += 1  # not len(self.places): the same key again is another value
        if self.values > MAX_VALUES:
            self._note(node, path, f"more than {MAX_VALUES} values, aliases expanded")
            raise RecipeError(self.problems)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node.value) in self.around:
            return self._note(node, path, "an alias to what contains it")
        if len(path) >= MAX_DEPTH:
            return self._note(node, path, _TOO_DEEP)
        if node.tag != CORE + ("map" if isinstance(node, yaml.MappingNode) else "seq"):
            self._note(node, path, f"the tag {tag_as_written(node.tag)} does not belong here; leave it out")
        self.around.append(id(node.value))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self.around.pop()
        return value

    def _sequence(self, node: yaml.Node, path: Keys) -> list[Any]:
        return [self._value(item, (*path, index), item.start_mark) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.Node, path: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        marks: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key in marks:
                first = f"line {marks[key].line + 1}, column {marks[key].column + 1}"
                self._note(key_node, (*path, key), f"the same key again; also at {first}")
            marks.setdefault(key, key_node.start_mark)
            result[key] = self._value(value_node, (*path, key), key_node.start_mark)
        return result

    def _key(self, node: yaml.Node, path: Keys) -> str:
        """The key that the node says, as it is: ``${VAR}`` is for values."""
        if not isinstance(node, yaml.ScalarNode):
            kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
            self._note(node, path, f"a key is a text, and this is {kind}; if it is meant as a value, quote it")
            return f"({node.start_mark.line}:{node.start_mark.column})"
        text = str(node.value)
        if node.tag == PLAIN and text == "<<":
            self._note(node, path, "merge keys (<<) are not in YAML 1.2; repeat the keys, or alias a whole value")
            return text
        try:
            key = resolve(text, node.tag)
        except ValueError as error:
            self._note(node, path, str(error))
        else:
            if not isinstance(key, str):
                said = f"{text or 'nothing'} is {kind_of(key)}"
                self._note(node, path, f"a key is a text, and {said}; quote it: '{text}'")
        return text

    def _scalar(self, node: yaml.ScalarNode, path: Keys) -> Scalar:
        said = (node.tag, node.value)
        if said not in self.known:
            try:
                self.known[said] = (resolve(substitute(node.value, self.environment), node.tag), ())
            except ValueError as error:
                self.known[said] = (None, error.args)
        value, complaints = self.known[said]
        for complaint in complaints:
            self._note(node, path, complaint)
        return value

    def _note(self, node: yaml.Node, path: Keys, message: str) -> None:
        self.problems.append(Problem(self.place(node.start_mark), dotted(path), message))


_WORDS = (  # what PyYAML says, and what it means to whoever wrote the recipe
    (r"found character '\\t' that cannot start.*", "a tab cannot stand here; indent with spaces"),
    (r"found character '(.)' that cannot start.*", r"a value cannot begin with \1; quote it"),
    (r"mapping values are not allowed here", "a ':' cannot stand here; quote the text, or check the indentation"),
    (r"could not find expected ':'", "a key without its ':'"),
    (r"expected <block end>, but found .*", "this does not line up with what is above; check the indentation"),
    (r"expected ',' or '(.)', but got .*", r"a ',' or the closing '\1' is missing before this"),
    (r"found unexpected end of stream", "the closing quotation mark is missing"),
    (r"found undefined alias '(.*)'", r"there is no anchor &\1 above"),
    (r"second occurrence", "there is an anchor of the same name above"),
    (r"but found another document", "a second document begins here; a recipe is one document"),
)


def _in_words(error: MarkedYAMLError, text: str) -> str:
    at = error.problem_mark.index if error.problem_mark else 0
    if text[max(at - 1, 0) : at + 1] == "${":  # inside { } and [ ], a plain scalar ends before a brace
        return 'inside { } and [ ], quote what holds a ${…}: "${NAME}"'
    said = error.problem or str(error)
    words = next((re.sub(pattern, ours, said) for pattern, ours in _WORDS if re.fullmatch(pattern, said)), said)
    if error.context and error.context_mark and error.context.startswith("while"):
        words += f" ({error.context}, from line {error.context_mark.line + 1} on)"
    return words


_TOO_DEEP = f"more than {MAX_DEPTH} levels deep"
_KINDS = {dict: "a mapping", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}


def kind_of(value: object) -> str:
    """What a value is, in a recipe's terms."""
    return _KINDS.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def dotted(path: Sequence[str | int]) -> str:
    """``explain.methods.0.layers``, as ``--set`` takes it."""
    return ".".join(map(str, path))
