"""A recipe as it was written: plain values, each with the place that it came from.

PyYAML scans and composes; its constructors, which turn tags into objects, are never called. What comes out is made of
dict, list, str, int, float, bool and None alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from yaml.error import Mark, MarkedYAMLError
from yaml.reader import ReaderError

from xaitool.errors import Problem, RecipeError
from xaitool.recipe.scalars import CORE, PLAIN, Scalar, resolve, shortened, substitute, tag_as_written

MAX_BYTES = 2**20
MAX_VALUES = 10_000  # after aliases are expanded
MAX_DEPTH = 50

Keys: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A recipe's plain values and where each of them was written. Nothing in it is meant to be changed.

    name: what the user calls the file. text: the file as it is, without any override. data: the values, overrides
    included. environment: what ``${VAR}`` stands for, in overrides too. places: of a key and of its value.
    """

    name: str
    text: str
    data: dict[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    places: Mapping[Keys, tuple[str, str]] = field(repr=False)

    def where(self, path: Sequence[str | int]) -> str:
        """``file:line:column`` of the key (or list item) at `path`, or the override that put it there.

        Where there is nothing at `path`, of the deepest of its ancestors that is there.
        """
        return self._nearest(path)[0]

    def where_value(self, path: Sequence[str | int]) -> str:
        """As `where`, but of the value."""
        return self._nearest(path)[1]

    def _nearest(self, path: Sequence[str | int]) -> tuple[str, str]:
        ancestors = (tuple(path[:end]) for end in range(len(path), -1, -1))
        return next(self.places[keys] for keys in ancestors if keys in self.places)


def read(path: Path) -> Source:
    """The recipe in a file, with ``${VAR}`` from this process's environment. Raises RecipeError."""
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise _refusal(name, f"cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise _refusal(name, f"larger than {MAX_BYTES} bytes; is this a recipe?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(f"{name}:{line}", f"not UTF-8: the byte 0x{content[error.start]:02x}") from error
    return parse(text, name, os.environ)


def parse(text: str, name: str, environment: Mapping[str, str]) -> Source:
    """The recipe in a text. Raises RecipeError with every problem that it finds."""
    reading = _Reading(lambda mark: f"{name}:{mark.line + 1}:{mark.column + 1}", environment)
    data = reading.document(text)
    if data is None:
        raise _refusal(name, "the recipe is empty")
    if not isinstance(data, dict):
        raise _refusal(reading.places[()][0], f"a recipe is a mapping of keys to values, and this is {_kind(data)}")
    return Source(name, text, data, environment, reading.places)


def override(source: Source, assignments: Sequence[str]) -> Source:
    """`source` with the command line's ``--set key=value`` in place; the value is YAML. Raises RecipeError."""
    draft = _Draft(source)
    for assignment in assignments:
        draft.set(assignment)
    return draft.finished()


def override_values(source: Source, values: Mapping[str, Any]) -> Source:
    """`source` with ``{"train.epochs": 1}`` in place; the values are taken as they are. Raises RecipeError."""
    draft = _Draft(source)
    for key, value in values.items():
        draft.put(key, deepcopy(value), f'set["{key}"]')
    return draft.finished()


class _Draft:
    """A copy of a source that takes overrides, and keeps the problems with them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = deepcopy(source.data)
        self.places = dict(source.places)
        self.problems: list[Problem] = []

    def set(self, assignment: str) -> None:
        """Put what ``key=value`` says."""
        place = f"--set {assignment}"
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            self.problems.append(Problem(place, key, "there is no '='; write --set key=value"))
            return
        try:
            value = _Reading(lambda _: place, self.source.environment).document(text, tuple(key.split(".")))
        except RecipeError as error:
            self.problems.extend(error.problems)
        else:
            self.put(key, value, place)

    def put(self, key: str, value: Any, place: str) -> None:
        try:
            changed = self._assign(key, value)
        except ValueError as error:
            self.problems.append(Problem(place, key, str(error)))
            return
        # What was written below belongs to a value that is gone.
        self.places = {keys: was for keys, was in self.places.items() if keys[: len(changed)] != changed}
        self.places[changed] = (place, place)

    def finished(self) -> Source:
        if self.problems:
            raise RecipeError(self.problems)
        return replace(self.source, data=self.data, places=self.places)

    def _assign(self, key: str, value: Any) -> Keys:
        """Put the value there, in new mappings where there are none; returns the path of the topmost new thing."""
        parts = key.split(".")
        if not all(parts):
            raise ValueError("an empty key; write key or outer.inner")
        if len(parts) > MAX_DEPTH:
            raise ValueError(f"a key of more than {MAX_DEPTH} parts")
        path: Keys = ()
        changed: Keys = ()
        target: Any = self.data
        for part in parts[:-1]:
            step = _step(target, part, path)
            path = (*path, step)
            if _child(target, step) is None:
                target[step] = {}
                changed = changed or path
            target = target[step]
        step = _step(target, parts[-1], path)
        target[step] = value
        return changed or (*path, step)


def _step(target: Any, part: str, path: Keys) -> str | int:
    """The key or index that `part` means in `target`, which stands at `path`."""
    if isinstance(target, dict):
        return part
    if not isinstance(target, list):
        raise ValueError(f"{_dotted(path)} is {_kind(target)} and has no keys")
    if not re.fullmatch("[0-9]{1,9}", part) or int(part) >= len(target):
        items = f"of {len(target)}, counted from 0" if target else "without items"
        raise ValueError(f"{_dotted(path)} is a list {items}; it has no item '{shortened(part)}'")
    return int(part)


def _child(target: Any, step: Any) -> Any:
    return target.get(step) if isinstance(target, dict) else target[step]


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
    except (
        ValueError,
        OverflowError,
    ) as error:  # PyYAML takes the numbers in "\UFFFFFFFF" and %YAML 1.99…9 as they are
        raise _UnreadableError(loader.get_mark(), "the number in an escape or a directive is too large") from error


@dataclass
class _Reading:
    """One text on its way to plain values, with the places and the problems met."""

    place: Callable[[Mark], str]
    environment: Mapping[str, str]
    places: dict[Keys, tuple[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0
    around: list[int] = field(default_factory=list)  # the collections that contain what is being read
    known: dict[tuple[str, str], tuple[Scalar, tuple[str, ...]]] = field(
        default_factory=dict
    )  # an alias costs nothing the second time

    def document(self, text: str, path: Keys = ()) -> Any:
        """The value of the whole text, which is to stand at `path`. Raises RecipeError with all problems."""
        try:
            node = _compose(text)
        except _UnreadableError as error:
            raise RecipeError([Problem(self.place(error.mark), _dotted(path), str(error))]) from error
        value = None if node is None else self.value(node, path, node.start_mark)
        if self.problems:
            raise RecipeError(self.problems)
        return value

    def value(self, node: yaml.Node, path: Keys, key_mark: Mark) -> Any:
        """What the node says; where that is a problem, it is noted and None stands in."""
        self.places[path] = (self.place(key_mark), self.place(node.start_mark))
        self.values += 1  # not len(self.places): the same key again is another value
        if self.values > MAX_VALUES:
            self.note(node, path, f"more than {MAX_VALUES} values, aliases expanded")
            raise RecipeError(self.problems)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node.value) in self.around:
            return self.note(node, path, "an alias to what contains it")
        if len(path) >= MAX_DEPTH:
            return self.note(node, path, _TOO_DEEP)
        if node.tag != CORE + ("map" if isinstance(node, yaml.MappingNode) else "seq"):
            self.note(node, path, f"the tag {tag_as_written(node.tag)} does not belong here; leave it out")
        self.around.append(id(node.value))
        value = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.around.pop()
        return value

    def sequence(self, node: yaml.Node, path: Keys) -> list[Any]:
        return [self.value(item, (*path, index), item.start_mark) for index, item in enumerate(node.value)]

    def mapping(self, node: yaml.Node, path: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        marks: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, path)
            if key in marks:
                first = f"line {marks[key].line + 1}, column {marks[key].column + 1}"
                self.note(key_node, (*path, key), f"the same key again; also at {first}")
            marks.setdefault(key, key_node.start_mark)
            result[key] = self.value(value_node, (*path, key), key_node.start_mark)
        return result

    def key(self, node: yaml.Node, path: Keys) -> str:
        """The key that the node says, as it is: ``${VAR}`` is for values."""
        if not isinstance(node, yaml.ScalarNode):
            kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
            self.note(node, path, f"a key is a text, and this is {kind}; if it is meant as a value, quote it")
            return f"({node.start_mark.line}:{node.start_mark.column})"
        text = str(node.value)
        if node.tag == PLAIN and text == "<<":
            self.note(node, path, "merge keys (<<) are not in YAML 1.2; repeat the keys, or alias a whole value")
            return text
        try:
            key = resolve(text, node.tag)
        except ValueError as error:
            self.note(node, path, str(error))
        else:
            if not isinstance(key, str):
                self.note(node, path, f"a key is a text, and {text or 'nothing'} is {_kind(key)}; quote it: '{text}'")
        return text

    def scalar(self, node: yaml.ScalarNode, path: Keys) -> Scalar:
        said = (node.tag, node.value)
        if said not in self.known:
            try:
                self.known[said] = (resolve(substitute(node.value, self.environment), node.tag), ())
            except ValueError as error:
                self.known[said] = (None, error.args)
        value, complaints = self.known[said]
        for complaint in complaints:
            self.note(node, path, complaint)
        return value

    def note(self, node: yaml.Node, path: Keys, message: str) -> None:
        self.problems.append(Problem(self.place(node.start_mark), _dotted(path), message))


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


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _dotted(path: Keys) -> str:
    return ".".join(map(str, path))


def _refusal(where: str, message: str) -> RecipeError:
    return RecipeError([Problem(where, "", message)])
